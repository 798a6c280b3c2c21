"""The example `csv_profile` on a large table: its pace, and its memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench.figure import Figure

__all__ = ["figures"]

ROWS, COLUMNS, MOST_MB = 1_000_000, 10, 200


def figures(*, quick: bool) -> Iterator[Figure]:
    rows = ROWS // 10 if quick else ROWS
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        # Apart, for the memory that is asked for is this one profile's.
        done = subprocess.run(
            [sys.executable, "-m", "tests.examples.million_rows", folder, str(rows), str(COLUMNS)],
            stdout=subprocess.PIPE,
            check=True,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "mainproj.settings"},
        )
    answer = json.loads(done.stdout)
    assert answer["result"]["rows"] == rows, "rows are missing from the profile"
    seconds, megabytes = sum(answer["seconds"]), answer["rss"] / 1e6
    yield Figure(
        name=f"csv_profile, {rows:,} rows",
        ours=f"{megabytes:.0f} MB at its peak",
        other=f"{rows / seconds:,.0f} rows/s, {COLUMNS} columns, {seconds:.0f} s",
        value=megabytes,
        at_most=MOST_MB,
    )
