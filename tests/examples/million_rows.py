"""A process of its own that profiles a large file, and tells how much memory that took.

    python -m tests.examples.million_rows FOLDER ROWS COLUMNS

Prints JSON: `rss` in bytes at its peak, `seconds` per child, and the `result`.
"""

import json
import os
import random
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import django


def main(folder: str, rows: int, columns: int) -> None:
    os.environ |= {"DATA_DIR": folder, "MEDIA_ROOT": folder}
    django.setup()
    # Only now: the children need Django's apps.
    from examples.csv_profile.tasks import profile, report, validate

    write_table(Path(folder) / "large.csv", rows, columns)
    clock = [time.perf_counter()]
    found = validate(file="large.csv")
    clock.append(time.perf_counter())
    layout = found["layout"]
    done = profile(file="large.csv", encoding="utf-8", delimiter="comma", columns=layout["columns"])
    clock.append(time.perf_counter())
    result = report(file="large.csv", validation=found, columns=done)
    answer: dict[str, Any] = {
        "rss": peak_memory(),
        "seconds": [later - earlier for earlier, later in pairwise(clock)],
        "result": result,
    }
    sys.stdout.write(json.dumps(answer))


def peak_memory() -> int:
    """The most resident memory this process ever had, in bytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes here
    # Linux carries ru_maxrss over from the process that forked this one, the whole test run.
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def write_table(path: Path, rows: int, columns: int) -> None:
    """Ten columns of every type, some of them with a million different values, over and over."""
    draw = random.Random(1)  # the same file every time
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(f"column {i}" for i in range(columns)) + "\n")
        for i in range(rows):
            ten = (
                f"{i},{draw.getrandbits(64):016x},{draw.random() * 100:.2f},{i % 50},"
                f"town {draw.randrange(5_000)},2024-01-{i % 28 + 1:02}T{i % 24:02}:00:00,"
                f"20{i % 14 + 10}-{i % 12 + 1:02}-01,{'yes' if i % 3 else 'no'},"
                f'"said ""{draw.randrange(10**6)}"", then left",{draw.gauss():.6f}'
            )
            file.write(",".join([ten] * (columns // 10)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
