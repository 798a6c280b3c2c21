"""Settings from the environment. A wrong value stops the start.

Reading a variable declares it. `Environment.declared` keeps the declarations in order; the
documentation is made from them.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from mainproj import environment_values as values
from parent.decisions.limit_sizes import sizes_of
from parent.setting_values import LARGEST_SIZE, LONGEST_TIME

__all__ = ["Declared", "Environment", "env"]

T = TypeVar("T")

RATE = re.compile(r"[1-9][0-9]{0,8}/(s|sec|m|min|h|hour|d|day)")
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One variable. `default` is the default in words."""

    name: str
    kind: str
    default: str
    about: str
    example: str


class Environment:
    """Reads variables. An empty variable counts as not set.

    Each method takes the variable's name, its default, and a line of documentation.

    Raises:
        ImproperlyConfigured: a value is invalid; with its name, the reason and an example.
    """

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self.declared: list[Declared] = []
        self._variables = variables

    def is_set(self, name: str) -> bool:
        """Whether the variable has a value for `read`."""
        return bool(self._variables.get(name, "").strip())

    def read(
        self,
        name: str,
        default: T,
        about: str,
        parse: Callable[[str], T],
        *,
        kind: str,
        example: str,
        unset: str | None = None,
        secret: bool = False,
    ) -> T:
        """A variable of any kind.

        Args:
            parse: raises ValueError with the reason, such as `it is not a number`.
            unset: the default in words, if its value says little.
            secret: the value may contain a password, and is left out of the error.
        """
        words = unset if unset is not None else str(default)
        self.declared.append(
            Declared(name=name, kind=kind, default=words, about=about, example=example)
        )
        value = self._variables.get(name, "").strip()
        if not value:
            return default
        try:
            values.require_text(value)
            return parse(value)
        except ValueError as exc:
            readable = value.encode(errors="backslashreplace").decode()
            shown = name if secret else f"{name}={readable}"
            raise ImproperlyConfigured(
                f"{shown} cannot be used: {exc}. Write, for example, {name}={example}"
            ) from None

    def text(self, name: str, default: str, about: str, *, example: str, **options: Any) -> str:
        return self.read(name, default, about, str, kind="text", example=example, **options)

    def flag(self, name: str, default: bool, about: str) -> bool:
        unset = "on" if default else "off"
        return self.read(
            name, default, about, values.flag, kind="on or off", example="on", unset=unset
        )

    def number(
        self,
        name: str,
        default: int,
        about: str,
        *,
        at_least: int = 0,
        at_most: int = LARGEST_SIZE,
        unset: str | None = None,
    ) -> int:
        def parse(value: str) -> int:
            return values.number(value, at_least, at_most)

        example = unset or str(default)
        return self.read(name, default, about, parse, kind="number", example=example, unset=unset)

    def seconds(
        self,
        name: str,
        default: float | None,
        about: str,
        *,
        zero: str = "never",
        at_most: int = LONGEST_TIME,
        example: str = "",
    ) -> float:
        """Seconds. `zero` says what 0 means; "" does not allow it. A default of None is 0."""

        def parse(value: str) -> float:
            try:
                seconds = float(value)
            except ValueError:
                seconds = math.nan
            if not (math.isfinite(seconds) and (seconds > 0 or (zero and seconds == 0))):
                raise ValueError(
                    f"it is not a number of seconds{f', or 0 for {zero}' if zero else ''}"
                )
            if seconds > at_most:
                raise ValueError(f"it is more than {at_most:,} seconds")
            return seconds

        unset = f"{default:.10g}" if default else "never"
        example = example or (unset if default else "3600")
        kind = f"seconds, 0 is {zero}" if zero else "seconds"
        return self.read(
            name, default or 0.0, about, parse, kind=kind, example=example, unset=unset
        )

    def words(self, name: str, default: Sequence[str], about: str, *, example: str) -> list[str]:
        """A list of words, separated by commas."""

        unset = ", ".join(default) or "none"
        return self.read(
            name, list(default), about, values.split, kind="words", example=example, unset=unset
        )

    def hosts(self, name: str, default: Sequence[str], about: str) -> list[str]:
        """Names and addresses under which a server is reached."""

        def parse(value: str) -> list[str]:
            found = [values.host(word) for word in values.split(value)]
            if not found:
                raise ValueError("it names no host")
            return found

        options: dict[str, Any] = {"kind": "hosts", "example": "flows.example.com"}
        return self.read(name, list(default), about, parse, **options, unset=", ".join(default))

    def apps(
        self, name: str, default: Sequence[str], about: str, *, beside: Sequence[str], example: str
    ) -> list[str]:
        """Django apps, each a module or the path of an `AppConfig`, `beside` those installed."""

        def parse(value: str) -> list[str]:
            return values.apps(value, beside)

        options: dict[str, Any] = {"kind": "modules", "example": example}
        return self.read(name, list(default), about, parse, **options, unset=", ".join(default))

    def class_path(self, name: str, default: str, about: str, *, example: str) -> str:
        """The path of a class."""

        def parse(value: str) -> str:
            values.module_of(value)
            return value

        return self.read(name, default, about, parse, kind="class", example=example)

    def origins(self, name: str, about: str, *, wildcards: bool = False) -> list[str]:
        """Origins in the form that browsers send; with `wildcards`, `https://*.example.com` too."""

        def parse(value: str) -> list[str]:
            return [values.origin(word, wildcards=wildcards) for word in values.split(value)]

        example = "https://app.example.com,https://example.org"
        return self.read(name, [], about, parse, kind="origins", example=example, unset="none")

    def rate(self, name: str, default: str | None, about: str) -> str | None:
        """A rate per second, minute, hour or day, in DRF's form; None for no limit."""

        def parse(value: str) -> str | None:
            if value == "off":
                return None
            if not RATE.fullmatch(value):
                raise ValueError("it is not a rate")
            return value

        return self.read(
            name,
            default,
            about,
            parse,
            kind="rate, or off",
            example="100/hour",
            unset=default or "off",
        )

    def limits(self, name: str, about: str) -> dict[str, int | str]:
        """Sizes of limits, by name: `gpu=2,mail=100/m`."""

        def parse(value: str) -> dict[str, int | str]:
            pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
            found: dict[str, int | str] = {key.strip(): size.strip() for key, _, size in pairs}
            try:
                sizes_of(found)
            except ValueError as exc:
                raise ValueError(str(exc).partition(". ")[0]) from None
            if len(found) < len(pairs):
                raise ValueError("it has a name twice")
            return found

        return self.read(
            name, {}, about, parse, kind="names and sizes", example="gpu=2,mail=100/m", unset="none"
        )

    def choice(
        self, name: str, default: str, about: str, *, among: Sequence[str], unset: str | None = None
    ) -> str:
        def parse(value: str) -> str:
            if value not in among:
                raise ValueError(f"it is none of {', '.join(among)}")
            return value

        kind = " or ".join(among)
        return self.read(name, default, about, parse, kind=kind, example=among[0], unset=unset)

    def token(self, name: str, about: str) -> str:
        """A secret that programs send; empty for none."""

        def parse(value: str) -> str:
            if not TOKEN.fullmatch(value):
                raise ValueError("it is not 16 or more of letters, digits and -._~+/=")
            return value

        kind, example = "secret", "$(openssl rand -hex 32)"
        options: dict[str, Any] = {
            "kind": kind,
            "example": example,
            "unset": "none",
            "secret": True,
        }
        return self.read(name, "", about, parse, **options)

    def database(self, name: str, default: str, about: str, *, unset: str) -> dict[str, Any]:
        """Django's settings of a database, from a URL."""
        example = "postgres://user:password@host:5432/name"
        url: dict[str, Any] = {"kind": "URL", "example": example, "unset": unset, "secret": True}
        return self.read(name, values.database(default), about, values.database, **url)

    def url(
        self,
        name: str,
        default: str,
        about: str,
        *,
        schemes: Sequence[str] = (),
        unset: str,
        example: str = "redis://:password@host:6379/0",
    ) -> str:
        """The URL of a server, with one of the `schemes` if there are any."""

        def parse(value: str) -> str:
            return values.server(value, schemes)

        return self.read(
            name, default, about, parse, kind="URL", example=example, unset=unset, secret=True
        )


env = Environment()
"""The environment of this process."""
