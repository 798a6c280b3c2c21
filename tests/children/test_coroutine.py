"""Reports, time limits and errors of an `async def` body."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from celery.exceptions import SoftTimeLimitExceeded
from structlog.contextvars import bound_contextvars, get_contextvars

from children import ChildTask, Progress, Status, child_task
from tests.children.conftest import Attempt, MemoryHost

FOR_EVER = 3600


def child(body: Any, **options: Any) -> Any:
    return child_task(name=f"shop.{body.__name__}", **options)(body)


async def counts(progress: Progress, n: int) -> int:
    for _ in progress.track(range(n), message="Counting"):
        await asyncio.sleep(0)
    return n


@child_task(name="shop.Counts")
class Counts(ChildTask):
    async def run(self, progress: Progress, n: int) -> int:
        return await counts(progress, n)


@wraps(counts)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    """Like a decorated body: not a coroutine function, but a call returns a coroutine."""
    return counts(*args, **kwargs)


@pytest.mark.parametrize(
    "make",
    [lambda: child(counts), lambda: Counts, lambda: child(wrapped)],
    ids=["a function", "a class", "a decorated function"],
)
def test_it_reports_and_ends_with_its_outcome(memory_host: MemoryHost, make: Any) -> None:
    attempt, answer = memory_host.run(make(), n=2)

    assert attempt.outcome.result == 2
    assert (attempt.outcome.status, attempt.outcome.message) == (Status.OK, "Counting")
    assert attempt.reports[-1].iteration == 2
    assert answer.result == attempt.outcome.as_dict()


def test_a_direct_call_runs_the_body_or_returns_a_coroutine_inside_a_loop() -> None:
    task = child(counts)

    async def ask() -> Any:
        return await task(n=3)

    assert task(n=2) == 2
    assert asyncio.run(ask()) == 3


def test_a_child_without_a_run_is_an_ordinary_task() -> None:
    assert child(counts).apply(kwargs={"n": 2}).result["result"] == 2


def test_a_coroutine_body_runs_while_another_event_loop_runs(memory_host: MemoryHost) -> None:
    task = child(counts)

    async def run() -> Any:
        return memory_host.run(task, n=2)

    attempt, _ = asyncio.run(run())
    assert attempt.outcome.result == 2


class ThreadAttempt(Attempt):
    """Records the thread of each report, and sets an event."""

    def __init__(self, lost_at: int | None = None) -> None:
        super().__init__(lost_at)
        self.threads: set[threading.Thread] = set()
        self.told = threading.Event()

    def report(self, meta: Any, checkpoint: Any = None) -> None:  # noqa: ARG002 - the protocol's
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        self.threads.add(threading.current_thread())
        super().report(meta)
        self.told.set()


async def by_update(progress: Progress) -> None:
    progress.update(1, 2)


async def by_a_task_beside_it(progress: Progress) -> None:
    await asyncio.gather(by_update(progress), asyncio.sleep(0))


async def by_a_thread_of_its_own(progress: Progress) -> None:
    await asyncio.to_thread(progress.update, 1, 2)


async def by_the_tasks_own_thread(progress: Progress) -> None:
    await sync_to_async(progress.update)(1, 2)


REPORTING = [by_update, by_a_task_beside_it, by_a_thread_of_its_own, by_the_tasks_own_thread]


@pytest.mark.parametrize("body", REPORTING)
def test_a_report_is_made_in_the_tasks_thread_while_the_body_runs(
    memory_host: MemoryHost, body: Any
) -> None:
    attempt = ThreadAttempt()

    async def reports(progress: Progress) -> bool:
        await body(progress)
        return await asyncio.to_thread(attempt.told.wait, 10)

    memory_host.run(child(reports), attempt=attempt)

    assert attempt.outcome.result is True
    assert attempt.threads == {threading.current_thread()}


def test_thread_sensitive_code_runs_in_the_tasks_thread(memory_host: MemoryHost) -> None:
    async def looks(progress: Progress) -> list[bool]:
        here = await sync_to_async(threading.current_thread)()
        return [here is threads[0], threading.current_thread() is threads[0]]

    threads = [threading.current_thread()]
    attempt, _ = memory_host.run(child(looks))

    assert attempt.outcome.result == [True, False]


def test_a_coroutine_body_has_its_request_and_its_log_context(memory_host: MemoryHost) -> None:
    async def knows(self: Any, progress: Progress) -> list[Any]:
        return [self.request.id, get_contextvars()["shelf"]]

    with bound_contextvars(shelf=7):
        attempt, _ = memory_host.run(child(knows, bind=True), task_id="this-one")

    assert attempt.outcome.result == ["this-one", 7]


def test_a_body_that_calls_a_child_awaits_it(memory_host: MemoryHost) -> None:
    counted = child(counts)

    async def calls(progress: Progress) -> int:
        return int(await counted(n=4))

    attempt, _ = memory_host.run(child(calls))
    assert attempt.outcome.result == 4


async def waits(progress: Progress) -> None:
    progress.update(1, 5)
    await asyncio.sleep(FOR_EVER)


async def waits_in_a_group(progress: Progress) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(FOR_EVER))
        await waits(progress)


async def waits_for_others(progress: Progress) -> None:
    await asyncio.gather(waits(progress), asyncio.sleep(FOR_EVER))


async def waits_while_another_reports(progress: Progress) -> None:
    beside = asyncio.create_task(waits(progress))
    await asyncio.sleep(FOR_EVER)
    await beside


async def waits_for_a_thread(progress: Progress) -> None:
    progress.update(1, 5)
    await sync_to_async(threading.Event().wait)(FOR_EVER)


async def never_rests(progress: Progress) -> None:
    progress.update(1, 5)
    while True:
        await asyncio.sleep(0)


WAITING = [
    waits,
    waits_in_a_group,
    waits_for_others,
    waits_while_another_reports,
    never_rests,
]


@pytest.fixture
def soft_limit() -> Iterator[None]:
    """A time limit as in a prefork process: a signal handler raises in the main thread."""

    def limit(*_: Any) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGALRM, limit)
    yield
    signal.signal(signal.SIGALRM, before)


class LimitedAttempt(Attempt):
    """The time limit passes at the first report."""

    def report(self, meta: Any, checkpoint: Any = None) -> None:
        super().report(meta, checkpoint)
        signal.setitimer(signal.ITIMER_REAL, 0.01)


@pytest.mark.usefixtures("soft_limit")
@pytest.mark.parametrize("body", [*WAITING, waits_for_a_thread])
def test_a_soft_limit_ends_the_body(memory_host: MemoryHost, body: Any) -> None:
    attempt, answer = memory_host.run(child(body), attempt=LimitedAttempt())

    assert attempt.outcome.status is Status.ERROR
    assert "SoftTimeLimitExceeded" in str(attempt.outcome.error)
    assert (attempt.outcome.iteration, answer.state) == (1, "FAILURE")


@pytest.mark.usefixtures("soft_limit")
def test_a_body_can_answer_a_soft_limit_and_go_on(memory_host: MemoryHost) -> None:
    async def answers(progress: Progress) -> str:
        try:
            await waits(progress)
        except SoftTimeLimitExceeded:
            async with asyncio.timeout(FOR_EVER), asyncio.TaskGroup():
                await asyncio.sleep(0)
            return "put away"
        return "never"

    attempt, _ = memory_host.run(child(answers), attempt=LimitedAttempt())
    assert attempt.outcome.result == "put away"


@pytest.mark.parametrize("body", WAITING)
def test_a_lost_attempt_ends_the_body(memory_host: MemoryHost, body: Any) -> None:
    attempt, answer = memory_host.run(child(body), attempt=Attempt(lost_at=1))

    assert (attempt.outcomes, attempt.abandoned) == ([], True)
    assert answer.state == "IGNORED"


def test_cleanup_code_runs_before_the_task_ends(memory_host: MemoryHost) -> None:
    done = []

    async def tidy(progress: Progress) -> None:
        try:
            await waits(progress)
        finally:
            await asyncio.sleep(0)
            done.append(await sync_to_async(lambda: "put away")())

    memory_host.run(child(tidy), attempt=Attempt(lost_at=1))
    assert done == ["put away"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("größe"), "KeyError: 'größe'"),
        (asyncio.CancelledError(), "CancelledError"),
        (TimeoutError(), "TimeoutError"),
        (SystemExit(3), "the body called sys.exit(3)"),
        (GeneratorExit(), "GeneratorExit"),
    ],
    ids=repr,
)
def test_an_error_of_a_coroutine_body_is_the_childs_error(
    memory_host: MemoryHost, error: BaseException, told: str
) -> None:
    async def fails(progress: Progress) -> None:
        progress.update(2, 5)
        await asyncio.sleep(0)
        raise error

    attempt, answer = memory_host.run(child(fails))

    assert attempt.outcome.error == f"Error in fails: {told}"
    assert (attempt.outcome.iteration, answer.state) == (2, "FAILURE")


def test_a_report_that_fails_is_an_error_of_the_child(memory_host: MemoryHost) -> None:
    class Deaf(Attempt):
        def report(self, meta: Any, checkpoint: Any = None) -> None:  # noqa: ARG002 - the protocol's
            raise RuntimeError("nobody hears")

    attempt, _ = memory_host.run(child(waits), attempt=Deaf())
    assert attempt.outcome.error == "Error in waits: nobody hears"


def test_tasks_left_running_by_a_coroutine_body_are_cancelled(memory_host: MemoryHost) -> None:
    ended = []

    async def beside() -> None:
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            ended.append(True)

    async def leaves(progress: Progress) -> None:
        leaves.task = asyncio.create_task(beside())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    attempt, _ = memory_host.run(child(leaves))
    assert (attempt.outcome.status, ended) == (Status.OK, [True])
