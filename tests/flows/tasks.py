"""Children for the tests."""

import asyncio
import itertools
import logging
import os
import signal
import time
from typing import Any

import redis
from celery import current_app, current_task, shared_task
from redis.backoff import NoBackoff
from redis.retry import Retry

from children import ChildTask, Progress, child_task

ONCE = Retry(NoBackoff(), 0)
GATE_TIMEOUT = 60  # seconds; a test that does not open a gate fails instead of hanging


class Trouble(Exception):
    """An author's exception class."""


def gates() -> "redis.Redis":
    """The server of the gates: the broker's, or another in tests where that one fails."""
    url = os.environ.get("GATES_URL") or current_app.conf.broker_url
    # Many tests have no server, so a connection must fail at once. A wait at a gate sets its own
    # timeout.
    path = url.removeprefix("redis+socket://")
    return redis.Redis(unix_socket_path=path, retry=ONCE, socket_timeout=None)


@child_task(name="flows.noop")
def noop(progress: Progress) -> None:
    """Do nothing."""


@child_task(name="flows.add")
def add(progress: Progress, a: int, b: int) -> int:
    return a + b


@child_task(name="flows.gated")
def gated(progress: Progress, gate: str) -> str:
    """Announce itself, report 3 of 10, and wait until the gate is opened."""
    progress.update(3, 10, "waiting at the gate")
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    if server.blpop([f"{gate}:open"], timeout=GATE_TIMEOUT) is None:
        raise Trouble("the gate was not opened in time")
    progress.update(10, 10)
    return gate


@child_task(name="flows.silent")
def silent(progress: Progress, gate: str) -> str:
    """Like `gated`, without any report."""
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    if server.blpop([f"{gate}:open"], timeout=GATE_TIMEOUT) is None:
        raise Trouble("the gate was not opened in time")
    return gate


@child_task(name="flows.waits_limited", soft_time_limit=1)
async def waits_limited(progress: Progress) -> None:
    """Report 1 of 2, and run past Celery's time limit."""
    progress.update(1, 2)
    await asyncio.sleep(GATE_TIMEOUT)


@child_task(name="flows.goes_on")
async def goes_on(progress: Progress, gate: str) -> None:
    """Report endlessly, while another task waits at a gate."""
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(GATE_TIMEOUT))
        for _ in progress.track(itertools.count()):
            await asyncio.sleep(0.01)


@child_task(name="flows.fails")
def fails(progress: Progress, message: str = "it is broken") -> None:
    progress.update(7, 10)
    raise Trouble(message)


@child_task(name="flows.breaks_off")
def breaks_off(progress: Progress, how: str) -> None:
    """Raise a `BaseException` that is not an `Exception`."""
    raise {"cancelled": asyncio.CancelledError, "interrupt": KeyboardInterrupt}[how]("broken off")


@child_task(name="flows.slow", time_limit=1)
def slow(progress: Progress, gate: str) -> None:
    """Wait at a gate past Celery's time limit."""
    gates().blpop([f"{gate}:open"], timeout=GATE_TIMEOUT)


@child_task(name="flows.where")
def where(progress: Progress) -> str:
    """Return the name of the worker that runs it."""
    return str(current_task.request.hostname)


@child_task(name="flows.ranks")
def ranks(progress: Progress) -> int:
    """Return the number of earlier calls."""
    return int(gates().incr("ranks"))


@child_task(name="flows.limited", rate_limit="1/s")
def limited(progress: Progress) -> float:
    """Return the time of the call."""
    return time.time()


@child_task(name="flows.returns_a_set")
def returns_a_set(progress: Progress) -> Any:
    return {1, 2}


@child_task(name="flows.talks")
def talks(progress: Progress, text: str) -> None:
    """Log, print, and fail."""
    logging.getLogger(__name__).info("said %s", text)
    print(f"printed {text}")  # noqa: T201 - authors do
    raise Trouble(f"stumbled over {text}")


@child_task(name="flows.dies")
def dies(progress: Progress) -> None:
    """Die of SIGKILL, as when the kernel runs out of memory."""
    progress.update(4, 10)
    os.kill(os.getpid(), signal.SIGKILL)


@child_task(name="flows.counts")
def counts(progress: Progress, limit: int) -> int:
    return sum(progress.track(range(limit), message="Counting"))


@child_task(name="flows.Doubled")
class Doubled(ChildTask):
    """The class-based form."""

    def run(self, progress: Progress, a: int) -> int:
        progress.message("Doubling")
        return 2 * a


@shared_task(name="flows.foreign")
def foreign(a: int) -> list[int]:
    """A plain Celery task without progress."""
    return [a, a]


@shared_task(name="flows.blog", bind=True)
def blog(self: Any, gate: str) -> dict[str, Any]:
    """A task as in many tutorials: it writes its meta itself, and returns an error as a value."""
    meta = {"iteration": 2, "total": 4, "status": "PROGRESS", "message": "by hand"}
    self.update_state(state="PROGRESS", meta=meta)
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    server.blpop([f"{gate}:open"], timeout=GATE_TIMEOUT)
    return meta | {"completion": 50, "status": "ERROR", "error": "it told so itself"}


def raises_text(text: str) -> dict[str, Any]:
    """An `inputs` function that raises."""
    raise Trouble(text)


@shared_task(name="flows.foreign_fails")
def foreign_fails() -> None:
    raise Trouble("a foreign one is broken")


@child_task(name="flows.divide")
def divide(progress: Progress, a: int, b: int = 1) -> float:
    """Fail where `b` is 0."""
    return a / b


@child_task(name="flows.item")
def item(progress: Progress, n: int, gate: str, holds: bool = False, fails: bool = False) -> int:
    """Wait at the gate if it holds, with reports, and note that this item was done."""
    server = gates()
    if holds:
        server.rpush(f"{gate}:reached", os.getpid())
        deadline = time.monotonic() + GATE_TIMEOUT
        while server.blpop([f"{gate}:open"], timeout=0.1) is None:
            progress.update(1, 10, "waiting at the gate")
            if time.monotonic() > deadline:
                raise Trouble("the gate was not opened in time")
    if fails:
        raise Trouble(f"item {n} is broken")
    server.rpush(f"{gate}:done", n)
    return n


@child_task(name="flows.logs")
def logs(progress: Progress, gate: str) -> None:
    """Log and print a line, wait at a gate, and log another one."""
    logging.getLogger("shop").info("begun")
    print("printed")  # noqa: T201 - what a worker does with it is tested
    server = gates()
    server.rpush(f"{gate}:reached", os.getpid())
    if server.blpop([f"{gate}:open"], timeout=GATE_TIMEOUT) is None:
        raise Trouble("the gate was not opened in time")
    logging.getLogger("shop").warning("the gate is open")


@child_task(name="flows.floods")
def floods(progress: Progress, lines: int) -> float:
    """Log so many lines; returns how many seconds that took."""
    shop, begun = logging.getLogger("shop"), time.perf_counter()
    for number in range(lines):
        shop.info("line %d of a long log, as long as such lines usually are", number)
        progress.update(number + 1, lines)
    return time.perf_counter() - begun
