"""The bodies of the measurements. They take almost no time, so that only the overhead counts."""

import time
from typing import TYPE_CHECKING, Any

import redis
from celery import current_app, shared_task

from children import Progress, child_task

if TYPE_CHECKING:
    from celery import Task

__all__ = [
    "broker",
    "hold",
    "items",
    "moment",
    "native_items",
    "native_last",
    "native_moment",
    "one_item",
    "reports",
    "work",
]

ITEMS = 3

HOLD_TIMEOUT = 600  # seconds after which a slot is released in any case


def broker() -> "redis.Redis":
    """A client of the broker's server."""
    path = current_app.conf.broker_url.removeprefix("redis+socket://")
    return redis.Redis(unix_socket_path=path, socket_timeout=None)  # slots are held for a long time


@child_task(name="bench.moment")
def moment(progress: Progress) -> float:  # noqa: ARG001 - it reports nothing
    """The time by the machine's monotonic clock, which all processes share."""
    return time.monotonic()


@shared_task(name="bench.native_moment")
def native_moment() -> float:
    """The same as a plain Celery task."""
    return time.monotonic()


@child_task(name="bench.items")
def items(progress: Progress) -> float:
    """`moment`, after it has tracked three items: it reports the first of them."""
    for _ in progress.track(range(ITEMS)):
        pass
    return time.monotonic()


@shared_task(name="bench.native_items", bind=True)
def native_items(self: "Task[Any, Any]") -> float:
    """What people write in a plain Celery task for the same: a report of each item."""
    for done in range(1, ITEMS + 1):
        self.update_state(state="PROGRESS", meta={"iteration": done, "total": ITEMS})
    return time.monotonic()


@child_task(name="bench.one_item")
def one_item(progress: Progress, n: int) -> float:  # noqa: ARG001 - which one is of no account
    """`items`, for a mapped step."""
    for _ in progress.track(range(ITEMS)):
        pass
    return time.monotonic()


@shared_task(name="bench.native_last")
def native_last(moments: list[float]) -> float:
    """The end of a chord: it gets what all others returned."""
    if not moments:
        raise ValueError("there was nothing before it")
    return time.monotonic()


@shared_task(name="bench.hold", ignore_result=True)
def hold() -> None:
    """Keep a slot busy until it is released."""
    server = broker()
    server.rpush("held", 1)
    server.blpop(["let-go"], timeout=HOLD_TIMEOUT)


@child_task(name="bench.work")
def work(progress: Progress, count: int, each: float) -> None:
    """Keep the processor busy for `each` seconds, `count` times."""
    for _ in progress.track(range(count)):
        until = time.thread_time() + each
        while time.thread_time() < until:
            pass


@child_task(name="bench.reports")
def reports(progress: Progress, count: int, every: float) -> list[float]:
    """Report the time `count` times, `every` so many seconds; return the times."""
    times = []
    for i in range(count):
        times.append(time.time())
        progress.update(i, count, repr(times[-1]))
        time.sleep(every)
    return times
