"""The example `csv_profile` on a large table: speed and memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench.figure import Figure, NotMeasured

__all__ = ["figures"]

ROWS, COLUMNS, MOST_MB = 1_000_000, 10, 200


def figures(*, quick: bool) -> Iterator[Figure]:
    rows = ROWS // 10 if quick else ROWS
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        # In a separate process, to measure the memory of this one profile.
        done = subprocess.run(
            [sys.executable, "-m", "tests.examples.million_rows", folder, str(rows), str(COLUMNS)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "mainproj.settings"},
        )
    if done.returncode:
        raise NotMeasured(f"it ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    answer = json.loads(done.stdout)
    if answer["result"]["rows"] != rows:
        raise NotMeasured(f"the profile has {answer['result']['rows']:,} rows of {rows:,}")
    seconds, megabytes = sum(answer["seconds"]), answer["rss"] / 1e6
    yield Figure(
        name=f"csv_profile, {rows:,} rows",
        ours=f"{megabytes:.0f} MB at its peak",
        other=f"{rows / seconds:,.0f} rows/s, {COLUMNS} columns, {seconds:.0f} s",
        value=megabytes,
        at_most=MOST_MB,
    )
