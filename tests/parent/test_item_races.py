"""Many processes end items of one run at once: nobody waits in a circle, and nothing is lost."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from django.db import connections

from children import Meta, host
from parent import Map, Step, Workflow
from parent.definition.workflow import registry
from parent.messages import publish
from parent.messages.publish import attempt_header
from parent.models import Executor, Item, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.start import start
from parent.store import leases
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from tests.flows import tasks
from tests.parent.items import check_items, mapped

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 6
TIMEOUT = 60.0


class Fleet:
    """Threads that work through published attempts as processes of workers do."""

    def __init__(self) -> None:
        self.messages: SimpleQueue[str | None] = SimpleQueue()
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.broken: set[int] = set()
        self.most_at_once = 0
        # On SQLite six that write may keep out another one until all work is done.
        self.waits_after = float("inf")
        self.goes_on = threading.Event()
        self._lock = threading.Lock()

    def send(self, _name: str, task_id: str, *_: Any, **__: Any) -> bool:
        self.messages.put(task_id)
        return True

    def work(self) -> None:
        try:
            while (task_id := self.messages.get()) is not None:
                self._take(task_id)
        except BaseException as exc:
            self.errors.append(exc)
        finally:
            connections.close_all()

    def stop(self) -> None:
        for _ in range(WORKERS):
            self.messages.put(None)

    def _take(self, task_id: str) -> None:
        items = Item.objects.select_related("step", "step__run")
        steps = StepRow.objects.select_related("run")
        row = items.filter(task_id=task_id).first() or steps.filter(task_id=task_id).first()
        if row is None:
            return  # another attempt has replaced it
        delivery = host.Delivery(
            id=task_id,
            taken_at=time.monotonic(),
            excluded=frozenset(),
            is_stopping=lambda: len(self.done) % 7 == 0,
            follower_seconds=lambda: 0.0,
        )
        attempt: Any = ParentHost().claim(task_id, attempt_header(row), delivery=delivery)
        while attempt is not None:
            self._run(attempt)
            attempt = attempt.follower and attempt.follower.begin()

    def _run(self, attempt: Any) -> None:
        running = Item.objects.filter(state=StepState.RUNNING).count()
        with self._lock:
            self.most_at_once = max(self.most_at_once, running)
            self.done[attempt.name] += 1
        if self.done.total() > self.waits_after:
            self.goes_on.wait(TIMEOUT)
        index = attempt.name.partition("[")[2].rstrip("]")
        if index and int(index) in self.broken:
            attempt.finish(Meta().failed(f"Error in {attempt.name}: bad"), "", ValueError("bad"))
        else:
            attempt.finish(Meta().ok(index))


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    fleet = Fleet()
    monkeypatch.setattr(publish, "_send", fleet.send)
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(leases, "_this", row.pk)
    yield fleet
    registry._workflows.pop("mapped", None)


def a_run(count: int, **options: Any) -> Run:
    items = [{"a": n} for n in range(count)]
    each = Map(tasks.divide, name="each", over=lambda _: items, **options)
    return start(Workflow("mapped", steps=[each, Step(tasks.noop, name="last")]), {})


def run_to_end(fleet: Fleet, run: Run, *, meanwhile: Any = None) -> None:
    ticker = Ticker(leases.this_executor())  # type: ignore[arg-type]
    threads = [threading.Thread(target=fleet.work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        give_up_at = time.monotonic() + TIMEOUT
        while not run.ended and not fleet.errors:
            assert time.monotonic() < give_up_at, check_items(mapped(run))
            leases.renew_heartbeat(leases.this_executor())  # type: ignore[arg-type]
            ticker.tick()
            if meanwhile is not None and meanwhile():
                meanwhile = None
            run.refresh_from_db()
    finally:
        fleet.stop()
        for thread in threads:
            thread.join(TIMEOUT)
    assert fleet.errors == []


@pytest.mark.parametrize("chunk", [1, 3])
def test_each_item_ends_once(fleet: Fleet, chunk: int) -> None:
    fleet.broken = {5, 50}
    run = a_run(80, max_active=4, chunk=chunk, tolerate=2, retries=1)

    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert check_items(mapped(run)) == {"ok": 78, "failed": 2}
    assert fleet.done.pop("last") == 1
    twice = {name for name, times in fleet.done.items() if times == 2}
    assert twice == {"each[5]", "each[50]"}
    assert (len(fleet.done), fleet.done.total()) == (80, 82)
    assert fleet.most_at_once <= 4


def test_too_many_failures_at_once(fleet: Fleet) -> None:
    fleet.broken = set(range(60))
    run = a_run(60, chunk=4, tolerate=10)

    run_to_end(fleet, run)

    assert run.state == RunState.FAILURE
    found = check_items(mapped(run))
    assert 11 <= found["failed"] <= 11 + WORKERS
    assert found["failed"] + found["skipped"] == 60


def test_a_cancel_in_the_middle(fleet: Fleet) -> None:
    fleet.waits_after = 100
    run = a_run(200, chunk=5, max_active=5)

    def once_some_are_done() -> bool:
        if len(fleet.done) < 20:
            return False
        cancel(run.pk, grace=0.0)
        fleet.goes_on.set()
        return True

    run_to_end(fleet, run, meanwhile=once_some_are_done)

    assert run.state == RunState.REVOKED
    found = check_items(mapped(run))
    assert set(found) == {"ok", "cancelled"}
