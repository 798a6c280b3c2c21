"""A data directory of an earlier release is closed to others, and nothing beside it is touched."""

from pathlib import Path

import pytest

from quickstart.private import make_private


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def made(path: Path, mode: int) -> Path:
    """A file that anybody may use as `mode` says, in folders open to all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in path.parents:
        if "data" in folder.parts:
            folder.chmod(0o777)
    path.touch()
    path.chmod(mode)
    return path


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


@pytest.mark.parametrize(
    "name",
    [
        *("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm", "db.sqlite3-journal", "secret_key"),
        *("up.pids", "redis-7/appendonlydir/a.aof", "valkey-8/dump.rdb", "redis.sock"),
        *("media/runs/1/a.csv", "media/uploading/b.upload"),
    ],
)
@pytest.mark.parametrize("before", [0o666, 0o644, 0o640, 0o602])
def test_what_is_ours_is_for_its_owner_alone(data_dir: Path, name: str, before: int) -> None:
    path = made(data_dir / name, before)

    make_private(data_dir)

    assert mode(path) == "0o600"
    while path != data_dir:
        path = path.parent
        assert mode(path) == "0o700"


def test_what_is_private_already_stays_as_it_is(data_dir: Path) -> None:
    path = made(data_dir / "secret_key", 0o400)

    make_private(data_dir)

    assert mode(path) == "0o400"


def test_what_else_a_user_keeps_there_stays_as_it_is(data_dir: Path) -> None:
    path = made(data_dir / "notes" / "mine.txt", 0o644)

    make_private(data_dir)

    assert (mode(path), mode(path.parent)) == ("0o644", "0o777")


@pytest.mark.parametrize("name", ["media", "media/runs", "media/runs/1/a.csv", "secret_key"])
def test_links_are_not_followed(data_dir: Path, tmp_path: Path, name: str) -> None:
    elsewhere = made(tmp_path / "elsewhere" / "theirs.txt", 0o666)
    for target in (elsewhere, elsewhere.parent, tmp_path / "nothing"):
        link = data_dir / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

        make_private(data_dir)

        assert mode(elsewhere) == "0o666"
        link.unlink()


def test_a_directory_that_everybody_puts_files_into_stays_open(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o1777)
    path = made(data_dir / "secret_key", 0o644)
    data_dir.chmod(0o1777)

    make_private(data_dir)

    assert (mode(data_dir), mode(path)) == ("0o1777", "0o600")
