"""Runs workflows of three steps in DBOS, in one process, and prints how long they took.

    python dbos_program.py DATABASE_URL COUNT silent|reporting

Its Python is that of a virtual environment with DBOS; see `bench.durable`.
"""

import sys
import time

from dbos import DBOS  # type: ignore[import-not-found]

url, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})


@DBOS.step()  # type: ignore[untyped-decorator]
def step(number: int) -> int:
    if kind == "reporting":
        # DBOS shows progress by events of a workflow; our children report three times too.
        for iteration in range(3):
            DBOS.set_event("progress", {"iteration": iteration + 1, "total": 3})
    return number


@DBOS.workflow()  # type: ignore[untyped-decorator]
def three(number: int) -> int:
    return int(step(step(step(number))))


def seconds(number: int) -> float:
    """The seconds from the first start to the last end."""
    began = time.monotonic()
    handles = [DBOS.start_workflow(three, each) for each in range(number)]
    for handle in handles:
        handle.get_result()
    return time.monotonic() - began


DBOS.launch()
seconds(10)  # connections open, caches fill
print(seconds(count), flush=True)
DBOS.destroy()
