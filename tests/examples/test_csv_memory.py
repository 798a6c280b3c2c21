"""Memory does not grow with the file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MB = 1_000_000


def profiled_apart(folder: Path, rows: int, columns: int) -> dict[str, Any]:
    """Profile a table of that size in a process of its own; see `million_rows`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.examples.million_rows", folder, str(rows), str(columns)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=280,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "mainproj.settings"},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(("rows", "columns"), [(1_000_000, 10), (2_000, 1_000)])
def test_a_large_file_stays_below_200_megabytes(tmp_path: Path, rows: int, columns: int) -> None:
    answer = profiled_apart(tmp_path, rows, columns)
    assert answer["rss"] < 200 * MB
    assert answer["result"]["rows"] == rows
    assert answer["result"]["columns"][0]["max"] == rows - 1
    assert answer["result"]["columns"][-1]["present"] == rows
