"""`--data-dir` is in force before the settings are read."""

import os
from pathlib import Path

import pytest

from quickstart import data_dir


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that what the test sets is taken back as well.
    monkeypatch.setenv("DATA_DIR", "")
    monkeypatch.delenv("DATA_DIR")


@pytest.mark.parametrize("words", [["--data-dir", "there"], ["--port", "1", "--data-dir=there"]])
def test_the_option_of_up_becomes_an_absolute_variable(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    data_dir.choose(["manage.py", "up", *words])

    assert os.environ["DATA_DIR"] == str(tmp_path / "there")


@pytest.mark.parametrize(
    "words", [["up"], ["up", "--port", "1"], ["migrate", "--data-dir", "x"], []]
)
def test_other_command_lines_change_nothing(words: list[str]) -> None:
    data_dir.choose(["manage.py", *words])

    assert "DATA_DIR" not in os.environ
