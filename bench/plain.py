"""A Celery app of its own, with Redis as its result backend, as many projects have it.

    REDIS_URL=... python -m bench.plain TASKS

Runs a chord of so many short reporting tasks, and prints the seconds from the first publish to the
end of the last task. A worker (`celery -A bench.plain worker`) runs them.
"""

import os
import sys
import time
from typing import Any

from celery import Celery, chord

__all__ = ["app"]

ITEMS = 3

app = Celery("plain", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
# As in the settings of the project.
app.conf.update(
    task_default_queue="plain",
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="plain.items", bind=True)
def items(self: Any) -> float:
    """`native_items` of the bench."""
    for done in range(1, ITEMS + 1):
        self.update_state(state="PROGRESS", meta={"iteration": done, "total": ITEMS})
    return time.monotonic()


@app.task(name="plain.last")
def last(moments: list[float]) -> float:
    """It gets what all others returned."""
    if not moments:
        raise ValueError("there was nothing before it")
    return time.monotonic()


def main(count: int) -> None:
    began = time.monotonic()
    end = chord(items.si() for _ in range(count))(last.s())
    print(end.get(timeout=600, interval=0.05) - began)


if __name__ == "__main__":
    main(int(sys.argv[1]))
