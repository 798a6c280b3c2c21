"""Items in workers: claims, chunks, hand-overs, places, and what a tick does for the lost ones."""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from children import Meta, host
from children.errors import AttemptLost
from parent import Map, Step, Workflow
from parent.decisions.mapping import FIRST_PLACES
from parent.definition.workflow import registry
from parent.messages import publish
from parent.messages.publish import attempt_header
from parent.models import Executor, Item, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.endings import Ending, end_run, record
from parent.runs.items import counts
from parent.runs.start import start
from parent.store import leases
from parent.watch import republish
from parent.watch.items import ORPHANED
from parent.watch.tick import Ticker
from parent.worker import running_attempt
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from parent.worker.shutdown import hand_back
from tests.flows import tasks
from tests.parent.items import check_items, mapped

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(days=1)


def a_delivery(**changed: Any) -> host.Delivery:
    fields: dict[str, Any] = {
        "id": "the-message",
        "taken_at": time.monotonic() + 3_600,  # however long the test takes
        "excluded": frozenset(),
        "is_stopping": lambda: False,
        "follower_seconds": lambda: 0.0,
    }
    return host.Delivery(**(fields | changed))


@pytest.fixture
def run_of() -> Iterator[Callable[..., Run]]:
    """A function that starts a run of one mapped step over so many items, and a last step."""

    def start_one(count: int, **options: Any) -> Run:
        items = [{"a": n, "b": 1} for n in range(count)]
        each = Map(tasks.divide, name="each", over=lambda _: items, **options)
        return start(Workflow("mapped", steps=[each, Step(tasks.noop, name="last")]), {})

    yield start_one
    registry._workflows.pop("mapped", None)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Executor:
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(leases, "_this", row.pk)
    return row


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the published attempts, in the order of their messages."""
    ids: list[str] = []

    def send(name: str, task_id: str, *_: Any, **__: Any) -> bool:
        ids.append(task_id)
        return True

    monkeypatch.setattr(publish, "_send", send)
    return ids


@pytest.fixture(autouse=True)
def _commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a test's transaction nothing commits, so what follows a commit is done at once."""
    monkeypatch.setattr("django.db.transaction.on_commit", lambda call, **_: call())


@pytest.fixture
def ticker(here: Executor) -> Ticker:
    ticker = Ticker(here.pk)
    while not ticker.tick():
        pass
    return ticker


def item_of(run: Run, index: int) -> Item:
    rows = Item.objects.select_related("step", "step__run", "executor")
    return rows.get(step__run=run, index=index)


def begun(run: Run, index: int, delivery: host.Delivery | None = None) -> RunningAttempt:
    """The item, claimed by a message."""
    item = item_of(run, index)
    attempt = RunningAttempt(str(item.task_id), attempt_header(item), delivery=delivery)
    assert attempt.claim()
    return attempt


def worked_through(attempt: Any) -> list[str]:
    """The names of the children that follow one another in one process, from this on."""
    names = []
    while attempt is not None:
        attempt.finish(Meta().ok(None))
        names.append(attempt.name)
        attempt = attempt.follower and attempt.follower.begin()
    return names


def failed(attempt: RunningAttempt) -> bool:
    return attempt.finish(Meta().failed("bad"), "where", ValueError("bad"))


def plan_of(sql: str, params: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # it would read a small table whole
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"{explain} {sql}", params)
        return "\n".join(str(line) for line in cursor.fetchall())


def died_before_its_count(run: Run, *indexes: int) -> StepRow:
    """These items are OK, and whoever ended them did nothing after that; the step is due."""
    step = mapped(run)
    rows = Item.objects.filter(step=step, index__in=indexes)
    rows.update(state=StepState.OK, due_at=None, finished_at=Now())
    counts.add(step.pk, step.run.created_at, ok=len(indexes))
    StepRow.objects.filter(pk=step.pk).update(due_at=Now())
    return step


def test_a_second_delivery_changes_nothing(run_of: Callable[..., Run]) -> None:
    run = run_of(2)
    item = item_of(run, 0)
    begun(run, 0)

    assert ParentHost().claim(str(item.task_id), attempt_header(item)) is None


def test_a_chunk_goes_on_in_its_process_past_the_time_slice(
    run_of: Callable[..., Run], sent: list[str]
) -> None:
    run = run_of(3, chunk=3)
    message = item_of(run, 0).task_id
    attempt = begun(run, 0, a_delivery(id=message, taken_at=-1_000.0))

    assert worked_through(attempt) == ["each[0]", "each[1]", "each[2]"]

    assert check_items(mapped(run)) == {"ok": 3}
    assert sent == [message, mapped(run, "last").task_id]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("chunk", [1, 2])
def test_a_commit_that_looked_like_a_failure_still_hands_the_next_item_over(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    run = run_of(2, chunk=chunk, max_active=1)
    attempt = begun(run, 0, a_delivery())
    calls: list[Ending] = []

    def record_and_break(*args: Any, **options: Any) -> Any:
        ending = record(*args, **options)
        calls.append(ending)
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return ending

    monkeypatch.setattr(running_attempt, "record", record_and_break)

    attempt.finish(Meta().ok(None))

    assert [bool(ending) for ending in calls] == [True, False]
    assert attempt.follower is not None
    assert attempt.follower.task_id == item_of(run, 1).task_id
    assert item_of(run, 1).state == StepState.RUNNING


def test_a_chunk_goes_on_after_a_failure(run_of: Callable[..., Run]) -> None:
    run = run_of(2, chunk=2, tolerate=1)
    attempt = begun(run, 0, a_delivery())

    failed(attempt)

    assert attempt.follower is not None
    attempt.follower.begin().finish(Meta().ok(None))
    assert check_items(mapped(run)) == {"ok": 1, "failed": 1}
    assert mapped(run).state == StepState.OK


def test_the_process_takes_the_next_chunk_over(run_of: Callable[..., Run], sent: list[str]) -> None:
    run = run_of(4, chunk=2, max_active=1)
    sent.clear()

    names = worked_through(begun(run, 0, a_delivery()))

    assert names == ["each[0]", "each[1]", "each[2]", "each[3]", "last"]
    assert sent == []
    run.refresh_from_db()
    assert run.state == RunState.SUCCESS


def test_a_worker_that_stops_gives_the_rest_of_its_chunk_a_message(
    run_of: Callable[..., Run], sent: list[str]
) -> None:
    run = run_of(4, chunk=4)
    attempt = begun(run, 0, a_delivery(is_stopping=lambda: True))
    sent.clear()

    attempt.finish(Meta().ok(None))

    rest = [item_of(run, index) for index in (1, 2, 3)]
    assert attempt.follower is None
    assert sent == [rest[0].task_id]
    assert {item.message_id for item in rest} == {rest[0].task_id}
    assert [item.publish_count for item in rest] == [1, 0, 0]
    assert [item.due_at is None for item in rest] == [False, True, True]


def test_a_lost_process_costs_one_item_of_its_chunk(
    run_of: Callable[..., Run], ticker: Ticker, sent: list[str]
) -> None:
    run = run_of(3, chunk=3, tolerate=1)
    begun(run, 0, a_delivery())
    dead = Executor.objects.create(host="there", pid=8)
    Item.objects.filter(state=StepState.RUNNING).update(executor=dead)
    Executor.objects.filter(pk=dead.pk).update(heartbeat_at=Now() - LONG_AGO)
    sent.clear()

    ticker.tick()

    assert check_items(mapped(run)) == {"failed": 1, "queued": 2}
    assert item_of(run, 0).error == "each[0]: the worker there:8 died while running it"
    assert sent == [item_of(run, 1).task_id]


def test_a_place_is_passed_on(run_of: Callable[..., Run], sent: list[str]) -> None:
    run = run_of(5, max_active=2)
    attempts = [begun(run, 0), begun(run, 1)]
    sent.clear()

    for attempt in attempts:
        attempt.finish(Meta().ok(None))

    assert check_items(mapped(run)) == {"ok": 2, "queued": 2, "waiting": 1}
    assert sent == [item_of(run, 2).task_id, item_of(run, 3).task_id]


def test_an_item_that_waits_for_its_retry_holds_no_place(
    run_of: Callable[..., Run], ticker: Ticker
) -> None:
    run = run_of(3, max_active=1, retries=1, retry_delay=100)
    failed(begun(run, 0))
    step = mapped(run)
    assert check_items(step) == {"queued": 1, "waiting": 2}
    assert item_of(run, 1).state == StepState.QUEUED

    ticker.tick()
    assert item_of(run, 0).due_at is not None
    Item.objects.filter(step=step, index=0).update(due_at=Now())
    ticker.tick()

    waiting = item_of(run, 0)
    assert (waiting.state, waiting.due_at) == (StepState.WAITING, None)
    begun(run, 1).finish(Meta().ok(None))
    assert item_of(run, 0).state == StepState.QUEUED


def test_a_tick_fills_lost_places(
    run_of: Callable[..., Run], ticker: Ticker, sent: list[str]
) -> None:
    run = run_of(9, max_active=3)
    step = died_before_its_count(run, 0, 1)
    sent.clear()

    ticker.tick()

    assert check_items(step) == {"ok": 2, "queued": 3, "waiting": 4}
    assert sent == [item_of(run, 3).task_id, item_of(run, 4).task_id]
    assert step.due_at is not None


def test_places_grow_with_the_slots_that_take_items(
    run_of: Callable[..., Run], ticker: Ticker
) -> None:
    run = run_of(100)
    first = [begun(run, index) for index in range(FIRST_PLACES)]
    first.pop().report(Meta.at(1, 2))

    ticker.tick()  # it sees that all places are at work
    ticker.tick()

    shown = check_items(mapped(run))
    assert shown == {"running": FIRST_PLACES, "queued": FIRST_PLACES, "waiting": 36}


def test_places_do_not_grow_for_few_slots(run_of: Callable[..., Run], ticker: Ticker) -> None:
    run = run_of(100)
    few = [begun(run, index) for index in range(FIRST_PLACES // 2)]
    few.pop().report(Meta.at(1, 2))

    ticker.tick()
    ticker.tick()

    assert check_items(mapped(run))["waiting"] == 100 - FIRST_PLACES


def test_the_process_goes_on_with_an_item_that_waits_for_its_second_attempt(
    run_of: Callable[..., Run], ticker: Ticker, sent: list[str]
) -> None:
    run = run_of(3, max_active=1, retries=1, retry_delay=60)
    failed(begun(run, 0))
    Item.objects.filter(step__run=run, index=0).update(due_at=Now())
    ticker.tick()
    sent.clear()

    names = worked_through(begun(run, 1, a_delivery()))

    assert names == ["each[1]", "each[0]", "each[2]", "last"]
    assert [item_of(run, index).attempt for index in range(3)] == [2, 1, 1]
    assert sent == []


def test_an_item_that_follows_takes_few_statements(run_of: Callable[..., Run]) -> None:
    run = run_of(4, max_active=1)
    attempt = begun(run, 0, a_delivery())
    attempt.finish(Meta().ok(None))
    assert attempt.follower is not None
    following = attempt.follower.begin()

    with CaptureQueriesContext(connection) as statements:
        following.finish(Meta().ok(None))

    kinds = [query["sql"].lstrip("( ").split()[0] for query in statements]
    assert [kind for kind in kinds if kind not in {"SAVEPOINT", "RELEASE"}] == [
        "UPDATE",  # its outcome
        "UPDATE",  # the claim of the next
        "INSERT",  # the counts
    ]


@pytest.mark.parametrize("ends", ["with the next", "without one here", "with a failure"])
@pytest.mark.parametrize("chunk", [1, 10])
def test_the_end_of_an_item_reads_none_that_ended_before(
    run_of: Callable[..., Run], chunk: int, ends: str
) -> None:
    """Else each takes longer than the one before: thousands take minutes."""
    run = run_of(300, max_active=1, chunk=chunk, tolerate=1)
    delivery = a_delivery(id=item_of(run, 0).carrier_id)
    attempt = begun(run, 0, delivery)
    attempt.finish(Meta().ok(None))
    assert attempt.follower is not None
    following = attempt.follower.begin()
    stopping = ends == "without one here"
    object.__setattr__(delivery, "is_stopping", lambda: stopping)
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with connection.execute_wrapper(note):
        if ends == "with a failure":
            following.finish(Meta().failed("bad"), "where", ValueError("bad"))
        else:
            following.finish(Meta().ok(None))

    about_items = [
        (sql, params) for sql, params in asked if "parent_item" in sql and "parent_itemc" not in sql
    ]
    assert len(about_items) > 1
    for sql, params in about_items:
        plan = plan_of(sql, params)
        if connection.vendor == "sqlite":
            assert not re.search(r"SCAN (parent_item|t)\b", plan), (sql, plan)
            assert "sqlite_autoindex_parent_item_1 (step_id=?)" not in plan, (sql, plan)
        else:
            assert "Seq Scan on parent_item" not in plan, (sql, plan)
            assert "item_index_unique" not in plan, (sql, plan)


class Killed(BaseException):
    """Stands for the death of the process: nobody handles it."""


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("at", [0, 1, 2, 3, None])
def test_a_death_anywhere_in_an_end_loses_nothing_and_doubles_nothing(
    run_of: Callable[..., Run],
    ticker: Ticker,
    here: Executor,
    monkeypatch: pytest.MonkeyPatch,
    at: int | None,
    chunk: int,
    fails: bool,
) -> None:
    """At a statement of its transaction, or after all of it, before what it claimed begins."""
    run = run_of(7, chunk=chunk, max_active=2, retries=2)
    carrier = item_of(run, 0).carrier_id
    dead = Executor.objects.create(host="gone", pid=8)
    monkeypatch.setattr(leases, "_this", dead.pk)
    attempt = begun(run, 0, a_delivery(id=carrier))
    made = 0

    def dies(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal made
        if not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            if made == at:
                raise Killed
            made += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(dies), suppress(Killed):
        if fails:
            failed(attempt)
        else:
            attempt.finish(Meta().ok(None))

    ended_before = set(Item.objects.filter(state=StepState.OK).values_list("index", flat=True))
    assert ended_before == ({0} if at is None and not fails else set())
    check_items(mapped(run))
    monkeypatch.setattr(leases, "_this", here.pk)
    Executor.objects.filter(pk=dead.pk).update(heartbeat_at=Now() - LONG_AGO)
    StepRow.objects.filter(run=run, state=StepState.RUNNING).update(due_at=Now())
    ticker.tick()
    ended: list[str] = []
    while waiting := Item.objects.filter(state=StepState.QUEUED).order_by("index").first():
        ended += worked_through(begun(run, waiting.index, a_delivery(id=waiting.carrier_id)))
        StepRow.objects.filter(run=run, state=StepState.RUNNING).update(due_at=Now())
        leases.renew_heartbeat(here.pk)
        ticker.tick()

    assert check_items(mapped(run)) == {"ok": 7}
    assert sorted(name for name in ended if name != "last") == [
        f"each[{index}]" for index in range(7) if index not in ended_before
    ]
    assert mapped(run).state == StepState.OK
    again = set(Item.objects.filter(attempt__gt=1).values_list("index", flat=True))
    assert again <= {0, 2 if chunk == 1 else 1}  # it, and what it claimed


def test_a_tick_ends_a_step_whose_last_finish_died(
    run_of: Callable[..., Run], ticker: Ticker
) -> None:
    run = run_of(1)
    step = died_before_its_count(run, 0)

    ticker.tick()

    step.refresh_from_db()
    assert (step.state, step.result["ok"]) == (StepState.OK, 1)
    assert mapped(run, "last").state == StepState.QUEUED


def test_a_tick_gives_an_orphaned_chunk_a_message(
    run_of: Callable[..., Run], ticker: Ticker, sent: list[str]
) -> None:
    run = run_of(3, chunk=3)
    died_before_its_count(run, 0)
    sent.clear()

    ticker.tick()

    assert sent == [item_of(run, 1).task_id]
    assert item_of(run, 2).message_id == sent[0]


@pytest.mark.parametrize(
    ("limits", "since", "says"),
    [
        ({"run_timeout": 5}, "started_at", "did not finish within 5 s"),
        ({"stall_timeout": 5}, "reported_at", "has not reported for 5 s"),
    ],
)
def test_the_limits_are_the_items(
    run_of: Callable[..., Run], ticker: Ticker, limits: dict[str, Any], since: str, says: str
) -> None:
    run = run_of(2, tolerate=2, **limits)
    begun(run, 0)
    Item.objects.filter(index=0).update(due_at=Now(), **{since: Now() - LONG_AGO})

    ticker.tick()

    item = item_of(run, 0)
    assert item.error is not None
    assert says in item.error
    assert check_items(mapped(run)) == {"failed": 1, "queued": 1}


def test_an_item_that_never_starts_is_an_error(run_of: Callable[..., Run], ticker: Ticker) -> None:
    run = run_of(1, queue_timeout=5)
    Item.objects.update(queued_at=Now() - LONG_AGO, due_at=Now())

    ticker.tick()

    step = mapped(run)
    assert check_items(step) == {"failed": 1}
    assert step.error is not None
    assert "each[0] did not start within 5 s" in step.error


def test_a_lost_message_is_sent_again(
    run_of: Callable[..., Run], ticker: Ticker, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(2)
    monkeypatch.setattr(republish, "missing_messages", lambda expected: expected)
    Item.objects.filter(index=1).update(due_at=Now())
    sent.clear()

    ticker.tick()

    assert sent == [item_of(run, 1).task_id]
    assert item_of(run, 1).publish_count == 2


def test_reports_of_items_move_the_run(run_of: Callable[..., Run], ticker: Ticker) -> None:
    run = run_of(4)
    begun(run, 0).finish(Meta().ok(None))
    begun(run, 1).report(Meta.at(50, 100))

    ticker.tick()

    step = mapped(run)
    run.refresh_from_db()
    assert step.items == {
        **{"total": 4, "waiting": 0, "queued": 2, "running": 1},
        **{"ok": 1, "failed": 0, "skipped": 0, "cancelled": 0},
    }
    assert (step.iteration, step.total, step.message) == (1, 4, "1 of 4")
    assert step.completion == pytest.approx((100 + 49.5) / 4, abs=0.5)
    assert (run.state, run.message) == (RunState.PROGRESS, "each: 1 of 4")
    info = current_app.AsyncResult(str(run.pk)).info
    assert info == {**run.meta.as_dict(), "items": step.items}
    assert not Item.objects.filter(unmirrored_since__isnull=False).exists()


def test_a_cancel_reaches_a_running_item_at_its_report(run_of: Callable[..., Run]) -> None:
    run = run_of(3)
    attempt = begun(run, 0)
    cancel(run.pk)
    assert check_items(mapped(run)) == {"running": 1, "cancelled": 2}

    with pytest.raises(AttemptLost):
        attempt.report(Meta.at(1, 2))
    attempt.abandon()

    run.refresh_from_db()
    assert run.state == RunState.REVOKED
    assert check_items(mapped(run)) == {"cancelled": 3}


def test_a_tick_ends_a_cancelled_item_that_does_not_report(
    run_of: Callable[..., Run], ticker: Ticker
) -> None:
    run = run_of(3)
    begun(run, 0)
    cancel(run.pk, grace=0.0)

    ticker.tick()

    run.refresh_from_db()
    assert run.state == RunState.REVOKED
    assert check_items(mapped(run)) == {"cancelled": 3}


def test_a_worker_that_stops_hands_its_item_back(
    run_of: Callable[..., Run], here: Executor
) -> None:
    run = run_of(2, retries=1, max_active=1)
    begun(run, 0)

    hand_back(here.pk)

    item = item_of(run, 0)
    assert (item.state, item.retries_used) == (StepState.WAITING, 0)
    assert item_of(run, 1).state == StepState.QUEUED


def test_a_process_that_was_fenced_out_changes_nothing(run_of: Callable[..., Run]) -> None:
    run = run_of(2, retries=1)
    old = begun(run, 0)
    failed(old)

    old.finish(Meta().ok(7))

    assert check_items(mapped(run)) == {"queued": 2}


def test_an_end_of_the_run_ends_all_items(run_of: Callable[..., Run]) -> None:
    run = run_of(5, max_active=2)
    begun(run, 0)

    assert end_run(run.pk, "too late")

    assert check_items(mapped(run)) == {"failed": 1, "skipped": 4}


def test_a_quiet_tick_takes_no_more_statements_with_many_items(
    run_of: Callable[..., Run], ticker: Ticker
) -> None:
    ticker.tick()
    few = statements(ticker)

    run_of(500, max_active=1)
    ticker.tick()  # it mirrors the counts of the start

    assert statements(ticker) == few


def statements(ticker: Ticker) -> int:
    leases.renew_heartbeat(ticker._executor_id)
    ticker._check_steps_from = ticker._enforce_leases_from = 0.0
    ticker._sweep_at = ticker._moved_at = math.inf
    with CaptureQueriesContext(connection) as captured:
        assert ticker.tick()
    return len(captured)


def test_an_item_with_a_limit_does_not_follow_without_a_place(
    own_registry: None, settings: Any
) -> None:
    settings.WORKFLOW_LIMITS = {"gpu": 1}
    each = Map(tasks.noop, name="each", over=lambda _: [{}] * 3, limits=["gpu"])
    run = Workflow("limited_items", steps=[each]).start()
    attempt = begun(run, 0, a_delivery())

    attempt.finish(Meta().ok(None))

    assert attempt.follower is None
    assert [item_of(run, index).is_in_line for index in (1, 2)] == [False, True]


@pytest.mark.django_db
def test_messages_that_are_over_are_found_in_one_look_at_what_is_active() -> None:
    """Not by one at all items of the step for each that waits: seconds of a tick for 10,000."""
    plan = plan_of(ORPHANED, [1])

    assert "item_active" in plan or "item_of_message" in plan
    assert "CORRELATED" not in plan
