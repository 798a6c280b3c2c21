"""docker-compose.yml, read as compose reads it: anchors, merges, and variables from `.env`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Compose", "Service", "Unset", "dotenv", "seconds"]

VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


class Unset(Exception):
    """A required variable is missing. The text is the message of the compose file."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service. `environment` is what its processes see beside what their image sets."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    after: dict[str, str]
    """The services that it depends on, each with its condition."""
    healthcheck: list[str]
    raw: dict[str, Any]


class Compose:
    """The services of a file, with the variables of one `.env`."""

    def __init__(self, path: Path, variables: Mapping[str, str]) -> None:
        self.raw: dict[str, Any] = yaml.safe_load(filled_in(path.read_text(), variables))
        self._variables = variables
        self.services = {
            name: self._service(name, raw) for name, raw in self.raw["services"].items()
        }

    def _service(self, name: str, raw: dict[str, Any]) -> Service:
        environment = {key: str(value) for key, value in raw.get("environment", {}).items()}
        if "env_file" in raw:
            assert raw["env_file"] == ".env", raw["env_file"]
            environment = dict(self._variables) | environment
        test = raw.get("healthcheck", {}).get("test", [])
        assert test == [] or test[0] == "CMD", test
        return Service(
            name=name,
            image=raw["image"],
            command=raw.get("command", []),
            environment=environment,
            after={other: each["condition"] for other, each in raw.get("depends_on", {}).items()},
            healthcheck=test[1:],
            raw=raw,
        )


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """The text with each `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced.

    Raises:
        Unset: one of the last kind has no value.
    """

    def value(found: re.Match[str]) -> str:
        name, operator, rest = found.groups()
        given = variables.get(name, "")
        if given or operator is None:
            return given
        if operator == ":?":
            raise Unset(f"{name}: {rest}")
        return str(rest)

    return VARIABLE.sub(value, text)


def dotenv(text: str) -> dict[str, str]:
    """The variables of an `.env` file, without those that are commented out."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def seconds(duration: str) -> int:
    """`60s`, as compose writes it."""
    assert re.fullmatch(r"\d+s", duration), duration
    return int(duration[:-1])
