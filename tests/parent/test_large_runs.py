"""Given runs of many steps, work is proportional to the steps, and the end of one step is not."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from children.meta import Meta
from monitor.runs.snapshot import Snapshot, task_status
from parent import Step as Definition
from parent import Workflow
from parent.decisions.plan import plan
from parent.decisions.summary import summarize
from parent.definition.validation.steps import steps_problems
from parent.definition.workflow import registry
from parent.messages import publish
from parent.messages.publish import AT_ONCE
from parent.models import Executor, Run, Step
from parent.runs.cancel import cancel
from parent.runs.endings import end_attempt
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store.run_rows import FULL_READ_LIMIT, SKIP_DEPTH
from parent.store.run_summaries import read_summaries
from parent.watch.mirror import mirror
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.shapes import SHAPES, calls, chain, fan_in, fan_out, pairs, parallel, refuse

pytestmark = pytest.mark.django_db

SMALL, LARGE = 60, 240
LINEAR = 5
"""Four times the steps may take somewhat more than four times the work."""


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_workflows", {})


def begin(steps: list[Definition]) -> Run:
    """A run of these steps; nothing is published."""
    registry._workflows.clear()
    with publish.publishing_off():
        return start(Workflow("large", steps=steps), {})


def end(run: Run, name: str, outcome: Meta | None = None) -> None:
    with publish.publishing_off():
        assert end_attempt(str(run.steps.get(name=name).task_id), outcome or Meta().ok(name))


def states(run: Run) -> dict[str, str]:
    return dict(run.steps.values_list("name", "state"))


# Work on a whole run.


def checking(steps: list[Definition]) -> Callable[[], Any]:
    workflow = Workflow("large", steps=steps)
    return lambda: list(steps_problems(workflow))


def starting(steps: list[Definition]) -> Callable[[], Any]:
    return lambda: begin(steps)


def planning(steps: list[Definition]) -> Callable[[], Any]:
    rows = list(begin(steps).steps.all())
    return lambda: plan(rows)


def cancelling(steps: list[Definition]) -> Callable[[], Any]:
    run = begin(steps)
    return lambda: run.ended or cancel(run.pk)


def retrying(steps: list[Definition]) -> Callable[[], Any]:
    run = begin(steps)
    if not run.ended:
        cancel(run.pk)
    return lambda: retry(run.pk, step="s0")


def polling(steps: list[Definition]) -> Callable[[], Any]:
    run, staff = begin(steps), User(is_staff=True, is_superuser=True)
    return lambda: [
        task_status(task, now=timezone.now()) for task in Snapshot([run.pk]).tasks(staff)
    ]


def failing_the_first(steps: list[Definition]) -> Callable[[], Any]:
    run = begin(steps)
    first = run.steps.filter(state="QUEUED").first()
    if first is None:  # its inputs raised, and the run is over
        return lambda: None
    name = first.name
    return lambda: end(run, name, Meta().failed("bad"))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__.replace("_", " "))
@pytest.mark.parametrize(
    "doing",
    [checking, starting, planning, cancelling, retrying, polling, failing_the_first],
    ids=lambda doing: doing.__name__.replace("_", " "),
)
def test_work_grows_as_the_steps_do(
    doing: Callable[[list[Definition]], Callable[[], Any]],
    shape: Callable[[int], list[Definition]],
) -> None:
    doing(shape(2))()  # includes work that a process does once
    registry._workflows.clear()
    small = calls(doing(shape(SMALL)))
    registry._workflows.clear()
    assert calls(doing(shape(LARGE))) < LINEAR * small


@pytest.mark.parametrize(
    ("shape", "name", "outcome"),
    [
        pytest.param(parallel, "s7", Meta().ok(1), id="one of those side by side"),
        pytest.param(parallel, "s7", Meta().failed("bad"), id="one of them that fails"),
        pytest.param(chain, "s0", Meta().ok(1), id="one with another after it"),
        pytest.param(pairs, "s8", Meta().failed("bad"), id="one that has another skipped"),
    ],
)
def test_an_end_costs_the_same_in_a_run_of_any_size(
    shape: Callable[[int], list[Definition]], name: str, outcome: Meta
) -> None:
    def cost(size: int) -> int:
        run = begin(shape(size))
        return calls(lambda: end(run, name, outcome))

    cost(SMALL)  # includes work that a process does once
    assert cost(LARGE) < 1.1 * cost(SMALL)


def test_a_report_is_mirrored_at_the_same_cost_in_a_run_of_any_size() -> None:
    def cost(run: Run) -> int:
        task_id = str(run.steps.get(name="s0").task_id)
        run.steps.filter(name="s0").update(reported_at=Now())
        return calls(lambda: mirror([task_id]))

    cost(begin(parallel(SMALL)))  # includes work that a process does once
    assert cost(begin(parallel(LARGE))) < 1.1 * cost(begin(parallel(SMALL)))


def test_the_authors_functions_and_the_publishing_are_outside_of_the_transaction() -> None:
    inside: list[bool] = []

    def inputs(_: Any) -> dict[str, Any]:
        # Around it is its own savepoint alone: the transaction of the start has not begun.
        sql = [query["sql"] for query in captured.captured_queries]
        inside.append(sum(each.startswith("SAVEPOINT") for each in sql) != 1)
        return {}

    steps = [Definition(tasks.noop, inputs=inputs)]
    with CaptureQueriesContext(connection) as captured:
        begin(steps)
    assert inside == [False]


# Plans from only the steps that an end affects.

MANY = FULL_READ_LIMIT + 10


def test_all_of_many_steps_end_and_the_run_with_the_last() -> None:
    run = begin(parallel(MANY))
    for name in [f"s{i}" for i in range(MANY - 1)]:
        end(run, name)
    run.refresh_from_db()
    assert (run.state, run.message) == ("PROGRESS", f"s{MANY - 1}")
    assert run.completion == pytest.approx(100 * (MANY - 1) / MANY)
    assert current_app.AsyncResult(str(run.pk)).info["completion"] == run.completion

    end(run, f"s{MANY - 1}")

    run.refresh_from_db()
    assert (run.state, run.result) == ("SUCCESS", f"s{MANY - 1}")


def test_a_step_after_many_opens_with_the_last_of_them_and_reads_all_results() -> None:
    read: list[dict[str, Any]] = []

    def inputs(run: Any) -> dict[str, Any]:
        read.append(dict(run.results))
        return {}

    last = Definition(tasks.noop, name="last", inputs=inputs, after=[f"s{i}" for i in range(MANY)])
    run = begin([*parallel(MANY), last])
    for i in reversed(range(MANY)):
        assert states(run)["last"] == "WAITING"
        end(run, f"s{i}")

    assert states(run)["last"] == "QUEUED"
    assert [list(results.items()) for results in read] == [
        [(f"s{i}", f"s{i}") for i in range(MANY)]
    ]


def test_a_step_that_ends_opens_all_that_wait_for_it() -> None:
    run = begin(fan_out(MANY))

    end(run, "s0")

    assert list(states(run).values()) == ["OK", *["QUEUED"] * (MANY - 1)]


def test_a_failure_of_one_of_many_skips_what_comes_after_all_of_them() -> None:
    run = begin(fan_in(MANY))

    end(run, "s3", Meta().failed("bad"))

    assert states(run) == {f"s{i}": "QUEUED" for i in range(MANY)} | {
        "s3": "ERROR",
        f"s{MANY - 1}": "SKIPPED",
    }


@pytest.mark.parametrize(
    "length", [1, 2, SKIP_DEPTH, SKIP_DEPTH + 1, SKIP_DEPTH + 2, SKIP_DEPTH + 5]
)
def test_a_failure_skips_as_far_as_steps_come_after_it(length: int) -> None:
    tail = chain(length + 1)
    beside = [Definition(tasks.noop, name=f"other{i}", after=()) for i in range(MANY)]
    run = begin([*tail, *beside])

    end(run, "s0", Meta().failed("bad"))

    expected = {"s0": "ERROR"} | {f"s{i}": "SKIPPED" for i in range(1, length + 1)}
    assert states(run) == expected | {step.name: "QUEUED" for step in beside}


@pytest.mark.parametrize("length", [1, 2, 9])
def test_all_that_depends_on_a_step_whose_inputs_raise_is_skipped(length: int) -> None:
    tail = [Definition(tasks.noop, name=f"t{i}") for i in range(length)]
    bad = Definition(tasks.noop, name="bad", after=["s0"], inputs=refuse)
    good = Definition(tasks.noop, name="good", after=["s0"])
    run = begin([*parallel(MANY), bad, *tail, good])

    end(run, "s0")

    assert states(run)["bad"] == "ERROR"
    assert {states(run)[step.name] for step in tail} == {"SKIPPED"}
    assert states(run)["good"] == "QUEUED"


def test_a_chain_of_many_goes_to_its_end() -> None:
    run = begin(chain(MANY))
    for i in range(MANY):
        assert [name for name, state in states(run).items() if state == "QUEUED"] == [f"s{i}"]
        end(run, f"s{i}")
    run.refresh_from_db()
    assert run.state == "SUCCESS"


@pytest.mark.parametrize(
    "states_text",
    [
        "WAITING WAITING",
        "QUEUED WAITING",
        "OK QUEUED QUEUED",
        "OK OK WAITING",
        "OK RUNNING RUNNING",
        "RUNNING ERROR QUEUED",
        "OK ERROR QUEUED",
        "OK SKIPPED OK CANCELLED",
        "SKIPPED CANCELLED",
        "CANCELLED OK OK",
    ],
)
def test_the_database_adds_up_steps_as_python_does(states_text: str) -> None:
    run = begin(parallel(len(states_text.split())))
    for i, state in enumerate(states_text.split()):
        run.steps.filter(name=f"s{i}").update(
            state=state,
            weight=1 + i,
            completion=10 * i,
            iteration=i,
            total=None if i % 2 else 9,
            message=f"at {i}",
            started_at=None if state in ("WAITING", "QUEUED", "SKIPPED") else Now(),
            reported_at=Now() if state == "RUNNING" else None,
        )
    expected, found = summarize(list(run.steps.all())), read_summaries([run.pk])[run.pk]

    for name in ("weight", "done", "progressed", "started_at"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("name", "state", "iteration", "total", "message", "error"):
        assert getattr(found.shown, name) == getattr(expected.shown, name), name


# Publishing.


@pytest.mark.usefixtures("broker")
def test_of_very_many_steps_the_first_are_published_at_once_and_the_others_by_ticks(
    django_capture_on_commit_callbacks: Any,
) -> None:
    size = 2 * AT_ONCE + 20
    with django_capture_on_commit_callbacks(execute=True):
        run = start(Workflow("large", steps=parallel(size)), {})
    assert (waiting(), run.steps.filter(publish_count=0).count()) == (AT_ONCE, AT_ONCE + 20)

    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    assert (waiting(), run.steps.filter(publish_count=1).count()) == (size, size)
    assert ticker.tick()
    assert waiting() == size


def waiting() -> int:
    """Messages in the broker."""
    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        return int(channel.client.llen(current_app.conf.task_default_queue))


def test_what_is_left_to_ticks_does_not_keep_them_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("parent.watch.tick.DUE_BATCH", 5)
    start(Workflow("large", steps=parallel(AT_ONCE + 20)), {})
    late = begin([Definition(tasks.noop, name="late", queue_timeout=1)])
    Step.objects.filter(run=late).update(queued_at="2020-01-01T00:00Z", due_at=Now())

    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    assert states(late) == {"late": "ERROR"}
