"""Runs the tests that depend on the versions of Python or Django, on the oldest and newest Python.

`make matrix` leaves out the Python of .venv, which runs the whole. The lock files have Django 5.2
for Python 3.11, and 6.0 for 3.12 and 3.13, which differ in no package. Each Python gets a virtual
environment of its own, `.venv-3.x`.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.rounds import COMPUTING

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.lock"
VERSIONS = ("3.11", "3.13")
PART = [
    *("tests/children", "tests/parent"),
    # What Django renders, parses and signs differs by its version; what we make of it does not.
    *("tests/monitor/test_api.py", "tests/monitor/test_csp.py", "tests/monitor/test_login.py"),
    *("tests/monitor/test_pages.py", "tests/monitor/test_polling.py"),
    *("tests/monitor/test_schema.py", "tests/monitor/test_server.py"),
    *("tests/system/test_runs.py", "tests/deploy/test_migrations.py"),
]


def main(args: Sequence[str]) -> int:
    failed = []
    for version in VERSIONS:
        if version == "{}.{}".format(*sys.version_info):
            continue
        if found := next(interpreters(version), None):
            say(f"Python {version}: {found}")
            if not suite(virtual_environment(version, found), args):
                failed.append(version)
        else:
            say(f"Python {version}: skipped, for it is neither on PATH nor among pyenv's versions")
    if failed:
        say(f"Failed on Python {', '.join(failed)}")
    return int(bool(failed))


def interpreters(version: str) -> Iterator[str]:
    """The interpreters that run. One on PATH may be a shim for a version that is not installed."""
    found = [shutil.which(f"python{version}"), *of_pyenv(version)]
    for path in filter(None, found):
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if told.stdout.startswith(f"Python {version}."):
            yield path


def of_pyenv(version: str) -> list[str]:
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return []
    told = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False)
    found = Path(told.stdout.strip(), "versions").glob(f"{version}.*/bin/python{version}")
    return sorted(map(str, found), reverse=True)


def virtual_environment(version: str, python: str) -> Path:
    """The Python of a virtual environment with the packages of the lock file."""
    folder = ROOT / f".venv-{version}"
    stamp = folder / "installed"
    inside = folder / "bin" / "python"
    if not stamp.exists() or stamp.stat().st_mtime < LOCK.stat().st_mtime:
        # `make` checks whether the folder may be emptied, and says what to do if not.
        check = ["make", "--silent", "check-venv", f"VENV={folder.name}"]
        if subprocess.run(check, cwd=ROOT, check=False).returncode:
            sys.exit(1)
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", "--requirement", str(LOCK)], check=True)
        stamp.touch()
    return inside


def suite(python: Path, args: Sequence[str]) -> bool:
    command = [str(python), "-m", "pytest", *(args or [*COMPUTING, *PART])]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
