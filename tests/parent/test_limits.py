"""Limits that steps share: who has a place, who waits, and when the next begins."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import LazySettings
from django.db import OperationalError, connection, connections
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from children import Meta
from parent import Map, Signal, Step, Workflow
from parent.checks import check_workflows
from parent.errors import InvalidWorkflow
from parent.inline import run_inline
from parent.messages import publish
from parent.models import Executor, Item, LimitSize, Place, Run, StepState
from parent.models import Step as StepRow
from parent.operations.doctor import runs as doctor
from parent.project_checks import check_project
from parent.runs.automatic_retry import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.concurrency import shared_limits, shared_limits_sql
from parent.runs.endings import end_attempt, end_run
from parent.runs.items.end_of_item import end_item
from parent.runs.user_retry.retry import retry
from parent.watch.tick import Ticker
from tests.flows import tasks

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_registry", "_sizes"),
]


@pytest.fixture(autouse=True)
def _nothing_is_sent() -> Iterator[None]:
    with publish.publishing_off():
        yield


@pytest.fixture
def _sizes(settings: LazySettings) -> None:
    settings.WORKFLOW_LIMITS = {"gpu": 2, "db": 1, "mail": "3/m", "none": 0}


def flow(name: str = "limited", *, limits: Any = ("gpu",), **options: Any) -> Workflow:
    """A workflow of one step with these limits."""
    return Workflow(name, steps=[Step(tasks.noop, inputs=lambda _: {}, limits=limits, **options)])


def mapped(count: int = 4, **options: Any) -> Workflow:
    """A workflow of one step over so many items."""
    each = Map(tasks.noop, name="each", over=lambda _: [{}] * count, limits=["gpu"], **options)
    return Workflow("mapped", steps=[each])


def only(run: Run) -> StepRow:
    return StepRow.objects.select_related("run").get(run=run)


def states(*runs: Run) -> list[str]:
    """Of each run, what its one step does."""
    return ["waits" if row.is_in_line else row.state.lower() for run in runs for row in [only(run)]]


def item_states() -> list[str]:
    rows = Item.objects.select_related("step").order_by("index")
    return ["waits" if row.is_in_line else row.state.lower() for row in rows]


def end(run: Run, outcome: Meta | None = None) -> None:
    end_attempt(str(only(run).task_id), outcome or Meta().ok(None))


def ticker() -> Ticker:
    """One that has ticked, and will not sweep again."""
    found = Ticker(Executor.objects.create(host="here", pid=7).pk)
    while not found.tick():
        pass
    return found


def minute_passes() -> None:
    """Let all that has begun have begun a minute before."""
    minute = timedelta(minutes=1)
    Place.objects.filter(taken_at__isnull=False).update(taken_at=F("taken_at") - minute)
    StepRow.objects.filter(due_at__isnull=False).update(due_at=F("due_at") - minute)


def test_as_many_begin_as_there_are_places_and_the_others_in_order() -> None:
    one, other = flow("one"), flow("other")
    runs = [(one, other)[n % 2].start() for n in range(5)]

    assert states(*runs) == ["queued", "queued", "waits", "waits", "waits"]

    end(runs[1])
    assert states(*runs) == ["queued", "ok", "queued", "waits", "waits"]
    end(runs[0], Meta().failed("bad"))
    assert states(*runs) == ["error", "ok", "queued", "queued", "waits"]
    assert Place.objects.filter(taken_at__isnull=False).count() == 2


def test_what_waits_has_no_message_and_costs_a_tick_nothing() -> None:
    flow_ = flow()
    for _ in range(3):
        flow_.start()
    waits = StepRow.objects.order_by("run__created_at").last()

    assert waits is not None
    assert (waits.publish_count, waits.due_at, waits.attempt) == (0, None, 1)


ENDS: dict[str, Callable[[Run], object]] = {
    "ok": end,
    "error": lambda run: end(run, Meta().failed("bad")),
    "cancel": lambda run: cancel(run.pk),
    "timeout": lambda run: end_run(run.pk, "too late"),
}


@pytest.mark.parametrize("way", ENDS)
def test_each_way_of_ending_frees_the_place(way: str) -> None:
    first, second = (flow(name, limits=["db"]).start() for name in ("one", "two"))
    assert states(second) == ["waits"]

    ENDS[way](first)

    assert states(second) == ["queued"]


@pytest.mark.parametrize("way", ["cancel", "timeout"])
def test_what_leaves_the_line_holds_nobody_up(way: str) -> None:
    flow_ = flow(limits=["db"])
    first, second, third = (flow_.start() for _ in range(3))

    ENDS[way](second)
    end(first)

    assert states(third) == ["queued"]


def test_a_place_ends_in_the_transaction_of_the_state_that_ends_it() -> None:
    """Whatever wrote the state: here nobody looks after the line."""
    flow_ = flow(limits=["db"])
    first, second = flow_.start(), flow_.start()
    StepRow.objects.filter(run=first).update(state=StepState.ERROR)

    assert shared_limits.fill(["db"]) == 1
    assert states(second) == ["queued"]


def test_a_retry_gives_its_place_to_who_waits_and_goes_to_the_end_of_the_line() -> None:
    flow_ = flow(limits=["db"], retries=1)
    first, second = flow_.start(), flow_.start()

    end_attempt(str(only(first).task_id), Meta().failed("bad"), retry=RetryDecision())

    assert states(first, second) == ["waits", "queued"]
    end(second)
    assert states(first) == ["queued"]
    assert only(first).attempt == 2


def test_a_retry_that_is_delayed_enters_the_line_when_the_delay_is_over() -> None:
    flow_ = flow(limits=["db"], retries=1, retry_delay=60.0)
    first = flow_.start()
    tick = ticker().tick
    end_attempt(str(only(first).task_id), Meta().failed("bad"), retry=RetryDecision())
    second = flow_.start()
    assert states(first, second) == ["waits", "queued"]
    tick()
    assert Place.objects.filter(taken_at=None).count() == 0

    minute_passes()
    tick()
    assert states(first) == ["waits"]
    assert only(first).due_at is None
    end(second)
    assert states(first) == ["queued"]


def test_a_retry_by_hand_waits_like_all_others() -> None:
    flow_ = flow(limits=["db"])
    first, second, third = (flow_.start() for _ in range(3))
    end(first, Meta().failed("bad"))

    retry(first.pk)

    assert states(first, second, third) == ["waits", "queued", "waits"]
    end(second)
    assert states(first, third) == ["waits", "queued"]


def test_a_step_takes_all_its_limits_at_once_and_nobody_overtakes_it() -> None:
    db, both, gpu = flow("a", limits=["db"]), flow("b", limits=["gpu", "db"]), flow("c")
    holds = db.start()
    waits = both.start()
    beside = [gpu.start() for _ in range(3)]

    # Of two places for gpu one is left to the step that wants it first.
    assert states(holds, waits, *beside) == ["queued", "waits", "queued", "waits", "waits"]
    end(holds)
    assert states(waits) == ["queued"]


def test_the_items_of_a_map_take_places_each() -> None:
    run = mapped().start()

    assert item_states() == ["queued", "queued", "waits", "waits"]
    for n in range(4):
        first = Item.objects.filter(state=StepState.QUEUED, publish_count=1).order_by("index")[0]
        end_item(str(first.task_id), Meta().ok(n))
    run.refresh_from_db()
    assert (run.state, item_states()) == ("SUCCESS", ["ok"] * 4)


def test_items_and_steps_stand_in_one_line() -> None:
    mapped(3).start()
    run = flow().start()

    first = Item.objects.order_by("index")[0]
    end_item(str(first.task_id), Meta().ok(None))
    assert (item_states(), states(run)) == (["ok", "queued", "queued"], ["waits"])
    end_item(str(Item.objects.order_by("index")[1].task_id), Meta().ok(None))
    assert states(run) == ["queued"]


def test_cancelled_items_free_their_places() -> None:
    run = mapped(2).start()
    other = flow().start()
    assert states(other) == ["waits"]

    cancel(run.pk)

    assert states(other) == ["queued"]


def test_a_tick_leaves_items_in_line_as_they_are() -> None:
    mapped().start()
    step = StepRow.objects.get()
    tick = ticker().tick
    StepRow.objects.filter(pk=step.pk).update(due_at=step.run.created_at)

    tick()

    assert item_states() == ["queued", "queued", "waits", "waits"]


def test_a_rate_lets_so_many_begin_in_a_minute() -> None:
    flow_ = flow(limits=["mail"])
    runs = [flow_.start() for _ in range(7)]
    assert states(*runs) == ["queued"] * 3 + ["waits"] * 4
    for run in runs[:3]:
        end(run)  # which frees nothing
    assert states(*runs) == ["ok"] * 3 + ["waits"] * 4
    due = [only(run).due_at for run in runs[3:]]
    begun = Place.objects.filter(taken_at__isnull=False).order_by("taken_at").first()
    assert begun is not None
    assert begun.taken_at is not None
    assert due == [begun.taken_at + timedelta(minutes=1), None, None, None]

    tick = ticker().tick
    assert states(*runs) == ["ok"] * 3 + ["waits"] * 4
    minute_passes()
    tick()
    assert states(*runs) == ["ok"] * 3 + ["queued"] * 3 + ["waits"]


def test_the_rate_counts_what_has_begun_although_its_run_is_gone() -> None:
    flow_ = flow(limits=["mail"])
    for _ in range(3):
        run = flow_.start()
        end(run)
        run.delete()

    assert states(flow_.start()) == ["waits"]


@pytest.mark.parametrize("size", ["3", "0", "1/m"])
def test_a_size_that_staff_set_wins_until_it_is_deleted(size: str) -> None:
    flow_ = flow(limits=["db"])
    LimitSize.objects.create(name="db", size=size)
    runs = [flow_.start() for _ in range(4)]
    begun = int(size[0])
    assert states(*runs) == ["queued"] * begun + ["waits"] * (4 - begun)

    LimitSize.objects.all().delete()
    shared_limits.fill(["db"])
    assert states(*runs) == ["queued"] * max(1, begun) + ["waits"] * (4 - max(1, begun))


@pytest.mark.parametrize("size", ["", "many", "-1", "1/y", "0/m", "99999999", "\u0662", "1.5"])
def test_a_size_that_nobody_can_read_has_no_effect_and_the_doctor_names_it(
    size: str, admin_client: Client
) -> None:
    """The form refuses it; a row that was loaded or written by hand may have it."""
    LimitSize.objects.create(name="db", size=size)
    flow_ = flow(limits=["db"])
    first, second = flow_.start(), flow_.start()
    assert states(first, second) == ["queued", "waits"]

    end(first)
    ticker()

    assert states(second) == ["queued"]
    assert [each.what for each in doctor.sizes() if "size of db" in each.what]
    for page in ("/admin/parent/limitsize/", "/metrics", "/workers/", f"/runs/{second.pk}/"):
        assert admin_client.get(page).status_code == 200


def test_a_limit_that_this_process_does_not_know_lets_none_begin(
    settings: LazySettings,
) -> None:
    flow_ = flow(limits=["db"])
    first, second = flow_.start(), flow_.start()
    settings.WORKFLOW_LIMITS = {}
    end(first)
    assert states(second) == ["waits"]

    settings.WORKFLOW_LIMITS = {"db": 1}
    ticker()
    assert states(second) == ["queued"]


def test_a_tick_goes_on_where_a_process_died(monkeypatch: pytest.MonkeyPatch) -> None:
    flow_ = flow(limits=["db"])
    first, second = flow_.start(), flow_.start()
    with monkeypatch.context() as dying:

        def die(*_: Any) -> None:
            raise OperationalError("server closed the connection unexpectedly")

        dying.setattr(shared_limits, "fill", die)
        end(first)
    assert states(first, second) == ["ok", "waits"]

    ticker()

    assert states(second) == ["queued"]


def test_rows_of_attempts_that_are_over_are_deleted() -> None:
    flow_ = flow(limits=["db"])
    first, second = flow_.start(), flow_.start()
    for run in (first, second):
        cancel(run.pk)

    ticker()

    assert not Place.objects.exists()


def test_more_than_a_batch_begins_by_and_by(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WORKFLOW_LIMITS = {"gpu": 5}
    monkeypatch.setattr(shared_limits, "AT_ONCE", 2)
    mapped(6).start()
    assert item_states() == ["queued"] * 2 + ["waits"] * 4

    tick = ticker().tick
    for _ in range(3):
        tick()
    assert item_states() == ["queued"] * 5 + ["waits"]
    assert not Item.objects.filter(publish_count=0, due_at__isnull=False).exists()


def test_no_step_with_limits_follows_without_a_message() -> None:
    """The step before has ended in this process, which would take the next one."""
    noop = Step(tasks.noop, name="first", inputs=lambda _: {})
    second = Step(tasks.noop, name="second", inputs=lambda _: {}, limits=["none"])
    run = Workflow("two", steps=[noop, second]).start()

    end_attempt(str(run.steps.get(name="first").task_id), Meta().ok(None))

    assert run.steps.get(name="second").is_in_line


def test_run_inline_waits_for_no_place() -> None:
    flow("none", limits=["none"]).start()

    assert run_inline(flow(limits=["none", "gpu"])).state == "SUCCESS"
    assert run_inline(mapped()).state == "SUCCESS"


def test_an_eager_run_passes_the_place_on(settings: LazySettings) -> None:
    before = current_app.conf.task_always_eager
    current_app.conf.task_always_eager = True
    publish._publishing_off.set(False)
    try:
        settings.WORKFLOW_LIMITS = {"gpu": 1}
        run = mapped(3).start()
    finally:
        current_app.conf.task_always_eager = before
    run.refresh_from_db()
    assert (run.state, run.error) == ("SUCCESS", None)


def test_steps_without_limits_cost_no_statement() -> None:
    run = Workflow("free", steps=[Step(tasks.noop, inputs=lambda _: {})]).start()
    with CaptureQueriesContext(connections["default"]) as captured:
        end(run)
    assert states(run) == ["ok"]
    assert [query for query in captured.captured_queries if "parent_place" in query["sql"]] == []


def test_ends_that_meet_never_let_too_many_begin(settings: LazySettings) -> None:
    """Several processes start, end and cancel at the same time, over two limits."""
    settings.WORKFLOW_LIMITS = {"gpu": 3, "db": 2}
    flows = [flow("a"), flow("b", limits=["db", "gpu"]), flow("c", limits=["db"])]
    runs = [flows[n % 3].start() for n in range(42)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with publish.publishing_off():
                while Run.objects.filter(finished_at=None).exists():
                    begun = StepRow.objects.filter(state=StepState.QUEUED, publish_count=1)
                    for step in begun[:2]:
                        end_attempt(str(step.task_id), Meta().ok(None))
                    held = Counter(name for step in begun for name in step.limits or ())
                    assert held["gpu"] <= 3
                    assert held["db"] <= 2
                    if number == 0:
                        shared_limits.fill_all()
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert states(*runs) == ["ok"] * 42


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"limits": "gpu"}, "step 'noop' has limits='gpu'"),
        ({"limits": {"gpu": 1}}, "step 'noop' has limits={'gpu': 1}"),
        ({"limits": ["gpus"]}, "step 'noop' has the limit 'gpus', which has no size"),
        ({"limits": [7]}, "step 'noop' has the limit 7, which has no size"),
        ({"limits": ["gpu", "gpu"]}, "step 'noop' has a limit twice: ['gpu', 'gpu']"),
    ],
)
def test_checks_find_limits_that_cannot_be(options: dict[str, Any], problem: str) -> None:
    bad = flow(**options)

    assert [message.msg for message in check_workflows()] == [f"Workflow 'limited': {problem}."]
    with pytest.raises(InvalidWorkflow):
        bad.start()
    assert not Run.objects.exists()


def test_checks_find_limits_on_what_takes_no_place() -> None:
    inner = flow("inner")
    steps = [
        Step(inner, name="nested", limits=["gpu"]),
        Map(tasks.noop, name="each", over=lambda _: [], limits=["gpu"], chunk=3),
    ]
    Workflow("outer", steps=steps, signals=[Signal("go", limits=["gpu"])])

    assert [message.msg.partition(": ")[2] for message in check_workflows()] == [
        "step 'go' waits for something from outside, and has limits, which belong to a child.",
        "step 'nested' is a workflow, and has limits, which belong to a child.",
        "step 'each' has limits, and chunk=3.",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"gpu": -1}, "gpu: -1 is not a size of a limit from 0 to 10,000"),
        ({"gpu": True}, "gpu: True is not a size of a limit from 0 to 10,000"),
        ({"gpu": 1.5}, "gpu: 1.5 is not a size of a limit from 0 to 10,000"),
        ({"gpu": 10_001}, "gpu: 10001 is not a size of a limit from 0 to 10,000"),
        ({"gpu": "two"}, "gpu: 'two' is not a size of a limit from 0 to 10,000"),
        ({"gpu": "٢"}, "gpu: '٢' is not a size of a limit from 0 to 10,000"),
        ({"gpu": "0/m"}, "gpu: '0/m' is not a rate from 1 to 10,000"),
        ({"gpu": "5/w"}, "gpu: '5/w' is not a size of a limit from 0 to 10,000"),
        ({"g p u": 1}, "'g p u' is not a name of a limit"),
        ({7: 1}, "7 is not a name of a limit"),
        (["gpu"], "['gpu'] is not a dict"),
    ],
)
def test_checks_find_sizes_that_cannot_be(settings: LazySettings, given: Any, problem: str) -> None:
    settings.WORKFLOW_LIMITS = given

    assert [(e.id, e.msg) for e in check_project()] == [
        ("parent.E007", f"WORKFLOW_LIMITS: {problem}.")
    ]


@pytest.mark.parametrize("given", [0, 7, "7", " 7 ", "100/m", "1/s", "5 / h", "2/d"])
def test_sizes_that_can_be(settings: LazySettings, given: Any) -> None:
    settings.WORKFLOW_LIMITS = {"a.b-c_D": given}

    assert check_project() == []


@pytest.mark.parametrize(
    ("sql", "params", "index"),
    [
        (shared_limits_sql.FIRST, ["gpu", 1], "place_line"),
        (shared_limits_sql.COUNT, ["gpu"], "place_taken"),
    ],
)
def test_who_is_in_line_is_found_by_an_index(sql: str, params: list[Any], index: str) -> None:
    """The time of an end does not grow with the number in line, nor with that of other lines."""
    now = timezone.now()
    Place.objects.bulk_create(
        Place(
            name=f"limit {number % 20}" if number % 20 else "gpu",
            task_id=str(number),
            run_id=uuid4(),
            step="only",
            since=now,
            taken_at=now if number % 40 < 20 else None,
        )
        for number in range(2_000)
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE parent_place")
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        cursor.execute(explain + sql, params)
        plan = str(cursor.fetchall())

    assert index in plan
    assert "SCAN p" not in plan
    assert "Seq Scan on parent_place" not in plan
