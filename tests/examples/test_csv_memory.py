"""Memory does not grow with the file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def peak(folder: Path, rows: int, columns: int) -> int:
    """The bytes that this took at most."""
    answer = profiled_apart(folder, rows, columns)
    assert answer["result"]["rows"] == rows
    assert answer["result"]["columns"][0]["max"] == rows - 1
    assert answer["result"]["columns"][-1]["present"] == rows
    rss: int = answer["rss"]
    assert rss < 200 * MB
    return rss


def test_four_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    """All that is kept of a column is full long before; the larger file has 23 MB."""
    fewer = peak(tmp_path, 50_000, 10)
    more = peak(tmp_path, 200_000, 10)
    assert more - fewer < 10 * MB


def test_very_many_columns_stay_below_200_megabytes(tmp_path: Path) -> None:
    """With rows enough to fill all that is kept of each."""
    peak(tmp_path, 1_200, 1_000)
