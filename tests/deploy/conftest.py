"""The image that the Dockerfile builds, and the services of docker-compose.yml."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.deploy.compose import Compose, dotenv
from tests.deploy.dockerfile import NOBODY, Image, build
from tests.deploy.stack import Stack, as_user
from tests.services import postgres_tools

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE, COMPOSE = ROOT / "Dockerfile", ROOT / "docker-compose.yml"
FILLED_IN = {
    "SECRET_KEY": "a+long/key=" * 5,
    "POSTGRES_PASSWORD": "only4tests",
    "ALLOWED_HOSTS": "flows.example.com",
}


def variables() -> dict[str, str]:
    """`.env.example` with all values filled in."""
    return dotenv((ROOT / ".env.example").read_text()) | FILLED_IN


@pytest.fixture(scope="session")
def compose() -> Compose:
    return Compose(COMPOSE, variables())


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image, built once, because its virtual environment takes most of the time."""
    # Not below pytest's folders, which are closed to other users.
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        Path(folder).chmod(0o755)
        before = os.umask(0o022)
        try:
            image = build(DOCKERFILE, Path(folder) / "root", interpreter())
        finally:
            os.umask(before)
        yield image


@pytest.fixture(scope="session")
def stack(image: Image, compose: Compose) -> Iterator[Stack]:
    """All services, healthy."""
    tools = postgres_tools()
    if tools is None:
        missing("there is no `initdb`: install postgresql")
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        missing("there is no `redis-server`, or no `redis-cli`, on PATH: install redis-server")
    assert tools is not None
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        Path(folder).chmod(0o755)
        with Stack(compose, image, Path(folder), tools) as stack:
            for name in compose.services:
                stack.start(name)
            for name in ("web", "worker"):
                stack.wait_until_healthy(name)
            yield stack


def interpreter() -> str:
    """A Python that an unprivileged user can run: the image's version, else one we support."""
    wanted = re.findall(r"^ARG PYTHON=(\S+)", DOCKERFILE.read_text(), re.M)
    for version in (*wanted, "{}.{}".format(*sys.version_info), "3.13", "3.12", "3.11"):
        for folder in os.get_exec_path():
            path = Path(folder, f"python{version}")
            if path.exists() and can_run(path):
                return str(path)
    missing("no Python that an unprivileged user can run, with venv, is on PATH")
    raise AssertionError


def can_run(path: Path) -> bool:
    try:
        done = subprocess.run(
            [path, "-c", "import ensurepip, venv"],
            **as_user(NOBODY),
            cwd="/",
            env={},
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
