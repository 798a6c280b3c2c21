"""Workflows with a limit: who goes on, who waits for their turn, and when it comes."""

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework import serializers

from children import Meta
from parent import Concurrency, RunData, Step, Workflow
from parent.checks import check_workflows
from parent.definition.concurrency import WhenFull
from parent.definition.workflow import registry
from parent.errors import AlreadyRunning, InvalidParams
from parent.inline import run_inline
from parent.messages import publish
from parent.models import Executor, Run, StepState
from parent.models import Step as StepRow
from parent.runs import advance
from parent.runs.cancel import cancel
from parent.runs.concurrency import runs_in_line
from parent.runs.endings import end_attempt, end_run
from parent.runs.following.hand_over import HandOver
from parent.runs.start import start, start_many
from parent.runs.user_retry.retry import retry
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.test_hand_over import a_delivery
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_registry", "_nothing_is_sent"),
]

STARTERS, STARTS = 20, 5
"""Threads, and how often each starts: a server takes a hundred connections for all tests."""


class ShopParams(serializers.Serializer[None]):
    shop = serializers.IntegerField(required=False, allow_null=True)
    day = serializers.DateField(required=False)
    file = serializers.FileField(required=False)


class DayParams(serializers.Serializer[None]):
    day = serializers.CharField()


@pytest.fixture
def _nothing_is_sent() -> Iterator[None]:
    with publish.publishing_off():
        yield


def limited(**options: Any) -> Workflow:
    """A workflow of two steps with this `Concurrency`."""
    steps = [Step(tasks.noop, name=name, inputs=lambda _: {}, retries=0) for name in ("one", "two")]
    return Workflow(
        "limited", params=ShopParams, steps=steps, concurrency=Concurrency(**options), timeout=60
    )


def states(*runs: Run) -> list[str]:
    """Of each run, the states of its steps as one word."""
    words = {
        ("QUEUED", "WAITING"): "goes on",
        ("WAITING", "WAITING"): "waits",
        ("CANCELLED", "CANCELLED"): "cancelled",
        ("OK", "OK"): "done",
        ("OK", "QUEUED"): "goes on",
        ("ERROR", "SKIPPED"): "failed",
    }
    rows = [tuple(run.steps.order_by("index").values_list("state", flat=True)) for run in runs]
    return [words[cast("tuple[str, str]", row)] for row in rows]


def tick() -> None:
    """The first tick of a watch."""
    ticker = Ticker(Executor.objects.create(host="here", pid=7).pk)
    while not ticker.tick():
        pass


def end(run: Run, outcome: Meta | None = None) -> None:
    """End all that is left of the run, step by step."""
    while step := StepRow.objects.filter(run=run, state=StepState.QUEUED).first():
        end_attempt(str(step.task_id), outcome or Meta().ok(None))


def test_one_goes_on_and_the_others_wait_in_order() -> None:
    flow = limited(key="shop")
    first, second, third = (flow.start(shop=7) for _ in range(3))
    elsewhere = flow.start(shop=8)

    assert states(first, second, third, elsewhere) == ["goes on", "waits", "waits", "goes on"]
    second.refresh_from_db()
    assert (second.state, second.message) == ("PENDING", "waits for its turn: shop=7")
    assert flow.result_of(second.pk).info["message"] == second.message
    assert second.deadline_at is None

    end(first)
    assert states(first, second, third) == ["done", "goes on", "waits"]
    second.refresh_from_db()
    assert second.deadline_at is not None
    assert second.message == "one"

    end(second, Meta().failed("bad"))
    assert states(second, third) == ["failed", "goes on"]


@pytest.mark.parametrize("limit", [1, 3])
def test_as_many_go_on_as_the_limit_says(limit: int) -> None:
    flow = limited(limit=limit)
    runs = [flow.start() for _ in range(5)]

    for ended in range(6):
        going = min(limit, 5 - ended)
        expected = ["done"] * ended + ["goes on"] * going
        assert states(*runs) == expected + ["waits"] * (5 - ended - going)
        if ended < 5:
            end(runs[ended])


ENDS: dict[str, Callable[[Run], object]] = {
    "ok": end,
    "error": lambda run: end(run, Meta().failed("bad")),
    "cancel": lambda run: cancel(run.pk),
    "timeout": lambda run: end_run(run.pk, "too late"),
}


@pytest.mark.parametrize("way", ENDS)
def test_each_way_of_ending_frees_the_place(way: str) -> None:
    flow = limited()
    first, second = flow.start(), flow.start()

    ENDS[way](first)

    assert states(second) == ["goes on"]


def test_a_cancelled_run_leaves_the_line() -> None:
    flow = limited()
    first, second, third = (flow.start() for _ in range(3))

    cancel(second.pk)
    assert states(first, second, third) == ["goes on", "cancelled", "waits"]

    end(first)
    assert states(third) == ["goes on"]


def test_a_run_with_other_inputs_that_raise_frees_its_place_at_once() -> None:
    def fail(_: Any) -> Any:
        raise ValueError("bad")

    flow = Workflow(
        "limited", steps=[Step(tasks.noop, inputs=fail)], concurrency=Concurrency(limit=1)
    )
    assert [flow.start().state for _ in range(3)] == ["FAILURE"] * 3


def test_skip_starts_nothing_and_tells_which_run_is_there() -> None:
    flow = limited(key="shop", when_full="skip")
    first = flow.start(shop=7)

    with pytest.raises(
        AlreadyRunning, match=f"limited with shop=7 goes on already: {first.pk}"
    ) as told:
        flow.start(shop=7)

    assert told.value.run == first
    assert Run.objects.count() == 1
    end(first)
    assert states(flow.start(shop=7)) == ["goes on"]


def test_return_existing_returns_the_run_that_is_there() -> None:
    flow = limited(when_full="return_existing")
    first, second = flow.start(), flow.start()

    assert (first.was_there, second.was_there, second) == (False, True, first)
    assert [run.pk for run in start_many(flow, [{}, {}])] == [first.pk] * 2
    with pytest.raises(AlreadyRunning):
        start(flow, {}, run_id=uuid4())  # a parent task with its own id
    assert Run.objects.count() == 1


def test_cancel_running_cancels_the_oldest_and_those_that_wait() -> None:
    flow = limited(when_full="cancel_running")
    first = flow.start()
    StepRow.objects.filter(run=first, name="one").update(
        state="RUNNING", executor=Executor.objects.create(host="here", pid=7), claim=uuid4()
    )
    second = flow.start()
    third = flow.start()

    assert states(second, third) == ["cancelled", "waits"]
    first.refresh_from_db()
    assert first.cancel_requested_at is not None
    assert first.events.get().who == "a new run has taken over: limited"

    end_attempt(str(first.steps.get(name="one").task_id), Meta().failed("was cancelled"))
    assert states(third) == ["goes on"]


def test_a_retry_waits_for_its_turn_too() -> None:
    flow = limited()
    first, second, third = (flow.start() for _ in range(3))
    end(first, Meta().failed("bad"))

    retry(first.pk)

    assert states(first, second, third) == ["waits", "goes on", "waits"]
    first.refresh_from_db()
    assert (first.message, first.deadline_at) == ("waits for its turn", None)
    end(second)
    assert states(first, third) == ["goes on", "waits"]  # it was there first


def test_a_retry_goes_on_where_a_place_is_free() -> None:
    flow = limited()
    first = flow.start()
    end(first, Meta().failed("bad"))

    retry(first.pk)

    assert states(first) == ["goes on"]
    assert states(flow.start()) == ["waits"]


def test_a_tick_opens_the_next_run_where_its_opener_died(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = limited()
    first, second = flow.start(), flow.start()
    with monkeypatch.context() as dying:

        def die(*_: Any) -> None:
            raise OperationalError("server closed the connection unexpectedly")

        dying.setattr(runs_in_line, "fill", die)
        end(first)
    assert states(first, second) == ["done", "waits"]

    tick()

    assert states(second) == ["goes on"]


def end_in_worker(run: Run, **delivery: Any) -> HandOver:
    """End its one child, as the process does that has run it."""
    hand_over = HandOver(a_delivery(**delivery))
    task_id = str(run.steps.get().task_id)
    assert end_attempt(task_id, Meta().ok(1), hand_over=hand_over)
    return hand_over


def one_step(**options: Any) -> Workflow:
    steps = [Step(tasks.noop, inputs=lambda _: {})]
    return Workflow("limited", steps=steps, concurrency=Concurrency(**options))


def test_the_end_of_a_run_lets_the_next_begin_in_the_same_transaction() -> None:
    flow = one_step()
    first, second, third = (flow.start() for _ in range(3))

    with transaction.atomic():
        end_in_worker(first)
        assert second.steps.get().state == "RUNNING"
        transaction.set_rollback(True)
    assert [run.steps.get().state for run in (first, second)] == ["QUEUED", "WAITING"]

    end_in_worker(first)
    assert [run.steps.get().state for run in (second, third)] == ["RUNNING", "WAITING"]
    second.refresh_from_db()
    assert (second.state, second.has_place, second.message) == ("STARTED", True, "noop")


def test_the_process_that_ends_a_run_goes_on_with_the_next() -> None:
    """Without a message, as from one step of a run to the next."""
    flow = one_step()
    first, second = flow.start(), flow.start()
    taken = end_in_worker(first).taken

    step = second.steps.get()
    assert taken == step
    assert (step.state, step.message_id, step.publish_count) == ("RUNNING", "the-message", 0)
    assert end_attempt(str(step.task_id), Meta().ok(2))
    assert Run.objects.get(pk=second.pk).result == 2


@pytest.mark.parametrize(
    "delivery",
    [
        pytest.param({"taken_at": -10.0}, id="its slice is used up"),
        pytest.param({"is_stopping": lambda: True}, id="its worker stops"),
        pytest.param({"excluded": frozenset({"flows.noop"})}, id="Celery limits the task"),
    ],
)
def test_otherwise_the_next_begins_by_a_message(delivery: dict[str, Any]) -> None:
    flow = one_step()
    first, second = flow.start(), flow.start()

    assert end_in_worker(first, **delivery).taken is None

    assert (second.steps.get().state, second.steps.get().publish_count) == ("QUEUED", 1)


def test_of_several_that_begin_at_once_it_goes_on_with_the_first() -> None:
    runs = one_step().start_many([{}] * 4)
    registry._workflows.clear()
    one_step(limit=3)

    assert end_in_worker(runs[0]).taken == runs[1].steps.get()

    assert [run.steps.get().state for run in runs] == ["OK", "RUNNING", "QUEUED", "QUEUED"]


def test_a_next_run_that_ends_as_it_begins_lets_the_one_behind_it_begin() -> None:
    def fail(run: RunData) -> dict[str, Any]:
        return {"good": {}}[run.params["day"]]

    steps = [Step(tasks.noop, inputs=fail)]
    flow = Workflow("limited", params=DayParams, steps=steps, concurrency=Concurrency())
    runs = [flow.start(day=day) for day in ("good", "bad", "bad", "good")]

    assert end_in_worker(runs[0]).taken is None

    assert [run.steps.get().state for run in runs] == ["OK", "ERROR", "ERROR", "QUEUED"]


def statements_of_an_end(in_line: int) -> list[str]:
    flow = one_step()
    runs = flow.start_many([{}] * (in_line + 1))
    with CaptureQueriesContext(connection) as captured:
        end_in_worker(runs[0])
    assert [run.steps.get().state for run in runs[1:3]] == ["RUNNING", "WAITING"]
    return [query["sql"].split()[0] for query in captured.captured_queries]


def test_an_end_takes_as_many_statements_however_many_are_in_line() -> None:
    few = statements_of_an_end(3)
    Run.objects.all().delete()
    registry._workflows.clear()

    assert statements_of_an_end(60) == few


@pytest.mark.parametrize("has_place", [False, True])
def test_who_is_in_line_is_found_by_an_index(has_place: bool) -> None:
    """The time to find the first, or the holders, does not grow with the number in line."""
    rows = runs_in_line.holding("limited", "") if has_place else runs_in_line.in_line("limited", "")
    Run.objects.bulk_create(
        Run(workflow="limited", place_key=str(number % 20 or ""), has_place=number % 2 == 0)
        for number in range(2_000)
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE parent_run")
        sql = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        text, params = rows.order_by().values("pk").query.sql_with_params()
        cursor.execute(sql + text, params)
        texts = [str(cursor.fetchall())]
        if not has_place:
            first = runs_in_line.FIRST_IN_LINE
            cursor.execute(f"{sql}SELECT id FROM parent_run WHERE {first}", ["limited", "", 1])
            texts.append(str(cursor.fetchall()))
    for text in texts:
        assert "run_place" in text
        if connection.vendor == "sqlite":
            assert "has_place=?" in text


def test_an_end_does_not_wait_for_who_has_the_lock_of_the_key() -> None:
    """Who has it may wait for the very run that ends: the next begins after the commit then."""
    if connection.vendor == "sqlite":
        pytest.skip("On SQLite a transaction that writes locks out all others.")
    flow = one_step()
    first, second = flow.start(), flow.start()
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            runs_in_line.lock("limited", "")
            locked.set()
            release.wait(30)
        connections.close_all()

    def end_it() -> None:
        end_in_worker(first)
        connections.close_all()

    threads = [threading.Thread(target=act) for act in (hold, end_it)]
    threads[0].start()
    assert locked.wait(30)
    threads[1].start()
    until("the end", lambda: Run.objects.get(pk=first.pk).ended)
    assert second.steps.get().state == "WAITING"
    release.set()
    for thread in threads:
        thread.join(30)
    assert second.steps.get().state == "QUEUED"


def test_a_next_run_that_cannot_be_opened_keeps_no_run_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flow = one_step()
    first, second = flow.start(), flow.start()

    fill = runs_in_line.fill_locked

    def fail(*args: Any) -> int:
        assert fill(*args) == 1
        raise LookupError("a fault")

    with monkeypatch.context() as failing:
        failing.setattr(runs_in_line, "fill_locked", fail)
        failing.setattr(runs_in_line, "fill", lambda *_: 0)
        assert end_in_worker(first).taken is None

    assert "could not be opened" in caplog.text
    assert Run.objects.get(pk=first.pk).state == "SUCCESS"
    assert second.steps.get().state == "WAITING"
    tick()
    assert second.steps.get().state == "QUEUED"


def test_a_limit_that_grew_or_went_lets_more_begin() -> None:
    runs = [limited().start() for _ in range(1)]
    runs += [Run.objects.get(pk=limited().start().pk) for _ in range(3)]
    assert list(runs_in_line.unfilled()) == []

    registry._workflows.clear()
    limited(limit=2)
    assert list(runs_in_line.unfilled()) == [("limited", "")]
    tick()
    assert states(*runs) == ["goes on", "goes on", "waits", "waits"]

    registry._workflows.clear()
    Workflow("limited", params=ShopParams, steps=[Step(tasks.noop, name="one"), Step(tasks.noop)])
    for key in runs_in_line.unfilled():
        advance.pass_place_on(*key)
    assert Run.objects.filter(has_place=True).count() == 4


def test_run_inline_takes_no_place() -> None:
    flow = limited(when_full="skip")
    flow.start()

    run = run_inline(flow)

    assert (run.state, run.place_key) == ("SUCCESS", None)


KEYS: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, ""),
    ("shop", {"shop": 7}, "shop=7"),
    ("day", {"day": "2026-03-01"}, "day=2026-03-01"),
    (lambda params: (params["shop"] or 0) % 2, {"shop": 7}, "1"),
    (lambda params: [params["shop"], "x"], {"shop": 7}, '[7, "x"]'),
    (lambda _: {"b": 1, "a": date(2026, 3, 1)}, {}, '{"a": "2026-03-01", "b": 1}'),
    (lambda _: False, {}, "false"),
    (lambda _: UUID(int=7), {}, '"00000000-0000-0000-0000-000000000007"'),
    (lambda params: params["shop"], {"shop": 7, "file": ContentFile(b"x", "a.txt")}, "7"),
]


@pytest.mark.parametrize(("key", "params", "expected"), KEYS)
def test_the_key_is_a_parameter_or_made_of_them(
    key: Any, params: dict[str, Any], expected: str
) -> None:
    assert start(limited(key=key), params).place_key == expected


@pytest.mark.parametrize(
    ("key", "params", "errors"),
    [
        ("shop", {}, {"shop": ["Required: runs with the same value share a limit."]}),
        ("shop", {"shop": None}, {"shop": ["Required: runs with the same value share a limit."]}),
        (
            lambda params: params["shop"] + 1,
            {},
            {
                "non_field_errors": [
                    "The key of the workflow's limit could not be made: KeyError: 'shop'"
                ]
            },
        ),
        (
            lambda params: params.get("shop"),
            {},
            {"non_field_errors": ["The key of the workflow's limit could not be made: it is None"]},
        ),
        (
            lambda _: "x" * 201,
            {},
            {"non_field_errors": ["A limit's key: write one line of at most 200 characters."]},
        ),
        (
            lambda _: "a\nb",
            {},
            {"non_field_errors": ["A limit's key: write one line of at most 200 characters."]},
        ),
    ],
)
def test_a_key_that_cannot_be_is_an_error_of_the_start(
    key: Any, params: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    with pytest.raises(InvalidParams) as told:
        start(limited(key=key), params)

    assert told.value.errors == errors
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "made",
    [
        object,
        lambda: iter([]),
        lambda: {"b", "a"},
        lambda: math.nan,
        lambda: -math.inf,
        lambda: [int],
    ],
    ids=["an object", "an iterator", "a set", "NaN", "infinity", "a list of types"],
)
def test_a_key_that_each_call_or_process_writes_in_another_way_is_refused(
    made: Callable[[], Any],
) -> None:
    """Each start would have a line of its own, and the limit no effect."""
    flow = limited(key=lambda _: made())

    with pytest.raises(InvalidParams, match=r"could not be made: it is not JSON"):
        start(flow, {})

    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "key", ["shop", lambda params: params.get("shop"), lambda params: 7 // (params["shop"] or 0)]
)
def test_of_many_starts_none_is_written_where_one_has_no_key(key: Any) -> None:
    flow = limited(key=key)

    with pytest.raises(InvalidParams) as told:
        start_many(flow, [{"shop": 1}, {"shop": None}, {"shop": 2}, {"shop": None}])

    assert sorted(told.value.errors) == [1, 3]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"limit": 0}, "its concurrency has limit=0"),
        ({"limit": True}, "its concurrency has limit=True"),
        ({"limit": 1.5}, "its concurrency has limit=1.5"),
        ({"when_full": "wait"}, "its concurrency has when_full='wait'"),
        ({"key": "shops"}, "its concurrency has key='shops', which is not a parameter"),
        ({"key": 7}, "its concurrency has key=7"),
    ],
)
def test_checks_find_what_can_never_be(options: dict[str, Any], problem: str) -> None:
    limited(**options)

    assert [message.msg for message in check_workflows()] == [f"Workflow 'limited': {problem}."]


def at_once(flow: Workflow) -> Counter[str]:
    """What a hundred starts of the workflow gave, twenty of them at a time."""
    barrier, found = threading.Barrier(STARTERS, timeout=60), Counter[str]()
    lock = threading.Lock()

    def start_one() -> str:
        try:
            return "existing" if flow.start(shop=7).was_there else "started"
        except AlreadyRunning:
            return "skipped"

    def start_some() -> None:
        try:
            with publish.publishing_off():
                for _ in range(STARTS):
                    barrier.wait()
                    what = start_one()
                    with lock:
                        found[what] += 1
        finally:
            connections.close_all()

    threads = [threading.Thread(target=start_some) for _ in range(STARTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize(
    ("when_full", "answers", "rows"),
    [
        ("queue", {"started": 100}, {"goes on": 1, "waits": 99}),
        ("skip", {"started": 1, "skipped": 99}, {"goes on": 1}),
        ("return_existing", {"started": 1, "existing": 99}, {"goes on": 1}),
        ("cancel_running", {"started": 100}, {"goes on": 1, "cancelled": 99}),
    ],
)
def test_a_hundred_starts_at_once(
    when_full: WhenFull, answers: dict[str, int], rows: dict[str, int]
) -> None:
    flow = limited(key="shop", when_full=when_full)

    assert at_once(flow) == answers

    assert Counter(states(*Run.objects.order_by("created_at"))) == rows


@pytest.mark.parametrize("goes_on", [False, True], ids=["by messages", "in the process"])
def test_a_line_is_worked_off_in_order_although_ends_meet(goes_on: bool) -> None:
    """Several processes end runs at the same time."""
    flow = limited(limit=4)
    runs = [flow.start() for _ in range(40)]
    errors: list[BaseException] = []

    def end_all(task_id: str) -> None:
        hand_over = HandOver(a_delivery()) if goes_on else None
        ended = end_attempt(task_id, Meta().ok(None), hand_over=hand_over)
        if ended and hand_over is not None and hand_over.taken is not None:
            end_all(str(hand_over.taken.task_id))

    def work() -> None:
        try:
            with publish.publishing_off():
                while Run.objects.filter(finished_at=None).exists():
                    for step in StepRow.objects.filter(state=StepState.QUEUED)[:2]:
                        end_all(str(step.task_id))
                    assert Run.objects.filter(has_place=True, finished_at=None).count() <= 4
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert states(*runs) == ["done"] * 40
    begun = [
        cast(datetime, StepRow.objects.get(run=run, name="one").queued_at).astimezone(UTC)
        for run in runs
    ]
    assert begun == sorted(begun)


def around(inner: Workflow, **options: Any) -> Workflow:
    """A workflow whose one step is a run of the other one, with the same parameters."""
    return Workflow("around", params=ShopParams, steps=[Step(inner, name="inner", **options)])


def inside(run: Run) -> Run:
    return Run.objects.get(pk=str(run.steps.get(name="inner").child_run_id))


@pytest.mark.parametrize("when_full", ["queue", "skip", "return_existing", "cancel_running"])
def test_a_run_inside_of_another_waits_for_its_turn_too(when_full: WhenFull) -> None:
    flow = limited(key="shop", when_full=when_full)
    outer = around(flow, run_timeout=30)
    first = flow.start(shop=7)
    second, elsewhere, third = outer.start(shop=7), outer.start(shop=8), outer.start(shop=7)

    runs = (first, inside(second), inside(elsewhere), inside(third))
    assert states(*runs) == ["goes on", "waits", "goes on", "waits"]
    assert second.steps.get().message == "waits for its turn: shop=7"
    assert inside(second).deadline_at is None

    end(first)
    assert states(*runs) == ["done", "goes on", "goes on", "waits"]
    begun = inside(second)
    assert begun.deadline_at is not None
    assert (begun.deadline_at - begun.mirrored_at).total_seconds() == pytest.approx(30, abs=1)
    assert second.steps.get().message == "one"
    end(begun)
    second.refresh_from_db()
    assert (second.state, states(inside(third))) == ("SUCCESS", ["goes on"])


OUTER_ENDS: dict[str, Callable[[Run], object]] = {
    "cancel": lambda run: cancel(run.pk),
    "timeout": lambda run: end_run(run.pk, "too late"),
}


@pytest.mark.parametrize("way", OUTER_ENDS)
@pytest.mark.parametrize("place", ["holds", "waits"])
def test_the_end_of_the_run_around_it_frees_its_place(way: str, place: str) -> None:
    flow = limited()
    outer = around(flow)
    first, second, last = outer.start(), outer.start(), flow.start()

    OUTER_ENDS[way](first if place == "holds" else second)

    assert states(last) == ["waits"]
    end(inside(second if place == "holds" else first))
    assert states(last) == ["goes on"]


def test_a_retry_of_the_run_around_it_waits_for_a_turn() -> None:
    flow = limited()
    outer = around(flow)
    first, second = outer.start(), flow.start()
    failed = inside(first)
    end(failed, Meta().failed("bad"))
    first.refresh_from_db()
    assert (first.state, states(second)) == ("FAILURE", ["goes on"])

    retry(first.pk)

    assert inside(first) == failed
    assert states(failed, second) == ["waits", "goes on"]
    end(second)
    assert states(failed) == ["goes on"]
    end(failed)
    first.refresh_from_db()
    assert first.state == "SUCCESS"


def test_a_key_that_cannot_be_is_an_error_of_the_step() -> None:
    run = around(limited(key="shop")).start()

    run.refresh_from_db()
    assert run.state == "FAILURE"
    assert "shop: Required: runs with the same value share a limit." in (run.error or "")


def test_run_inline_waits_for_no_turn_inside_either() -> None:
    flow = limited()
    flow.start()

    assert run_inline(around(flow)).state == "SUCCESS"
