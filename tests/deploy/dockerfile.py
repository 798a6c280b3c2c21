"""Builds a Dockerfile without Docker, in a folder that stands for the image's root.

It knows as much of the language as ours uses; anything else is an error, and no guess. A path that
is not of every Linux system (`/app`, `/opt`, `/tmp`) is one in that folder. Each stage begins with
an empty one, so that the image has what the last stage makes or copies, and nothing else.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

__all__ = ["Image", "build", "instructions"]

OF_EVERY_SYSTEM = "usr|bin|sbin|lib|lib64|etc|dev|proc|sys|var"
PATH_OF_OURS = re.compile(rf"(?<![\w./$}}-])/(?!(?:{OF_EVERY_SYSTEM})\b)(?=[a-z])")
HOST_PATH = "/usr/local/bin:/usr/bin:/bin"
# What a build is told of the network that it is in.
OF_THE_NETWORK = re.compile(r"PIP_\w+|\w+_proxy|SSL_CERT_\w+", re.IGNORECASE)
# The one thing that is not done: the accounts of this machine are not a test's to make.
ACCOUNT = re.compile(r"groupadd --gid (\d+) (\w+) && useradd --uid \1 --gid \2 [\w/ -]+ \2")
NOBODY = 10001
"""A user without an account on this machine, who has only the rights of others."""


@dataclass(kw_only=True)
class Image:
    """The files at `root`, and the configuration that a container starts with."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    built_at: float = 0.0
    """Seconds since the epoch."""

    def inside(self, text: str) -> str:
        """The text, with each path of the image as it is called on this machine."""
        return PATH_OF_OURS.sub(f"{self.root}/", text)

    def path(self, path: str) -> Path:
        """The same of one path, which may be relative to the working directory."""
        return self.root / str(PurePosixPath(self.folder) / path).lstrip("/")


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions, each with its arguments on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, rest) for name, rest in found]


def build(dockerfile: Path, root: Path, python: str) -> Image:
    """Build it. `python` replaces the Python of the base image."""
    builder = Builder(dockerfile.parent, root, python)
    for name, rest in instructions(dockerfile.read_text()):
        getattr(builder, f"do_{name.lower()}")(rest)
    builder.image.built_at = time.time()
    return builder.image


class Builder:
    """A method for each instruction."""

    def __init__(self, context: Path, root: Path, python: str) -> None:
        self.image = Image(root=root)
        self._context, self._root = context, root
        self._args: dict[str, str] = {}
        self._alias = self._account = ""
        ignored, *taken = uncommented(context / ".dockerignore")
        assert ignored == "*", "of a list of what is left out, not all is known here"
        self._in_context = {line.removeprefix("!") for line in taken if line.startswith("!")}
        # A link would not do: Python finds its library by where it seems to be.
        self._bin = root.with_name("base-image")
        self._bin.mkdir()
        program = self._bin / "python"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n')
        program.chmod(0o755)

    def do_arg(self, rest: str) -> None:
        name, _, self._args[name] = rest.partition("=")

    def do_from(self, rest: str) -> None:
        base = re.sub(r"\$\{(\w+)\}", lambda found: self._args[found[1]], rest)
        assert re.fullmatch(r"python:3\.1[1-3]-slim( AS \w+)?", base), base
        if self._root.exists():
            self._root.rename(self._stage(self._alias))
        self._alias = base.partition(" AS ")[2]
        self.image = Image(root=self._root)
        (self._root / "tmp").mkdir(parents=True)

    def do_workdir(self, rest: str) -> None:
        self.image.folder = rest
        self.image.path(".").mkdir(parents=True, exist_ok=True)

    def do_env(self, rest: str) -> None:
        for name, _, value in (word.partition("=") for word in shlex.split(rest)):
            path = self.image.environment.get("PATH", f"{self._bin}:{HOST_PATH}")
            self.image.environment[name] = self.image.inside(value).replace("$PATH", path)

    def do_copy(self, rest: str) -> None:
        *sources, target = rest.split()
        stage = self._context
        if sources[0].startswith("--from="):
            stage = self._stage(sources.pop(0).removeprefix("--from="))
        else:
            assert set(sources) <= self._in_context, f".dockerignore leaves out one of {sources}"
        for source in sources:
            found, put = stage / source.lstrip("/"), self.image.path(target)
            if found.is_dir():
                ignore = shutil.ignore_patterns("__pycache__") if stage == self._context else None
                shutil.copytree(found, put, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            else:
                shutil.copy(found, put / found.name if target.endswith("/") else put)

    def do_run(self, rest: str) -> None:
        if made := ACCOUNT.fullmatch(rest):
            assert int(made[1]) == NOBODY, rest
            self._account = made[2]
            return
        # As anybody but root we can give files to nobody else.
        owner = NOBODY if os.geteuid() == 0 else os.geteuid()
        command = self.image.inside(rest).replace(
            f"-o {self._account} -g {self._account}", f"-o {owner}"
        )
        told = {name: value for name, value in os.environ.items() if OF_THE_NETWORK.match(name)}
        told |= {"PATH": f"{self._bin}:{HOST_PATH}", "HOME": str(self._root / "tmp")}
        done = subprocess.run(
            ["/bin/sh", "-ec", command],
            cwd=self.image.path("."),
            env=told | self.image.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout}"

    def do_user(self, rest: str) -> None:
        assert rest == f"{NOBODY}:{NOBODY}", rest
        self.image.user = NOBODY

    def do_expose(self, rest: str) -> None:
        """EXPOSE is documentation: it opens no port."""

    def do_healthcheck(self, rest: str) -> None:
        self.image.healthcheck = exec_form(rest.partition(" CMD ")[2])

    def do_entrypoint(self, rest: str) -> None:
        self.image.entrypoint, self.image.command = exec_form(rest), []

    def do_cmd(self, rest: str) -> None:
        self.image.command = exec_form(rest)

    def do_stopsignal(self, rest: str) -> None:
        assert rest == "SIGTERM", "the tests stop a service with that"

    def _stage(self, alias: str) -> Path:
        return self._root.with_name(f"stage-{alias}")


def exec_form(rest: str) -> list[str]:
    """The words of a command. Without a shell in between, which would keep signals to itself."""
    words = json.loads(rest)
    assert isinstance(words, list), rest
    return [str(word) for word in words]


def uncommented(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]
