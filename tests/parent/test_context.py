"""`progress.run`: a child asks for its run, and gives it a signal."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from children import Progress
from children.errors import AttemptLost, NotInRun
from children.host import RunContext
from children.meta import Meta
from parent import Map, Signal, Step, Workflow
from parent.errors import InvalidParams, SignalGiven, UnknownSignal
from parent.inline import continue_inline, run_inline
from parent.messages.publish import attempt_header, publishing_off
from parent.models import Event, Executor, ReceivedSignal, Run
from parent.runs.automatic_retry import RetryDecision
from parent.runs.endings import record
from parent.runs.signals.give import give
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from tests.flows import context, tasks
from tests.parent.conftest import claimed

pytestmark = pytest.mark.django_db


def of(attempt: RunningAttempt) -> RunContext:
    """The context that the body of this attempt gets."""
    return Progress(attempt.report, context=attempt.context).run


def test_each_kind_of_child_has_its_run() -> None:
    run = run_inline(context.asking, number=3)

    assert run.error is None
    pk, params = str(run.pk), {"number": 3}
    nested = str(run.steps.get(name="nested").child_run_id)
    noted = {"noted": {"text": "async"}}
    both = {**noted, "seen": {"text": "once"}}
    asking = "context_asking"
    assert run.result == {
        "ask_async": [pk, asking, "ask_async", 1, params, noted],
        "fail_once": [pk, asking, "fail_once", 2, params, both],
        "log": None,
        "each": [
            [pk, asking, "each[0]", 1, params, both],
            [pk, asking, "each[1]", 1, params, both],
        ],
        "nested": [nested, "context_inside", "ask", 1, {"number": 4}, {}],
        "last": [pk, asking, "last", 1, params, both],
        "seen": {"text": "once"},
        "noted": {"text": "async"},
    }
    given = Event.objects.filter(run=run, what="signal").order_by("pk").values_list("who", "detail")
    assert [(who, detail["given"]) for who, detail in given] == [
        ("step ask_async", {"text": "async"}),
        ("step fail_once", {"text": "once"}),
    ]


def test_its_logger_says_which_attempt_also_in_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "workflow.context_asking"):
        run = run_inline(context.asking, number=3)

    (line,) = [each for each in caplog.records if each.message == "told by a thread"]
    assert {name: vars(line)[name] for name in ("run", "workflow", "step", "attempt")} == {
        "run": str(run.pk),
        "workflow": "context_asking",
        "step": "log",
        "attempt": 1,
    }


def test_what_the_caller_adds_to_a_log_line_is_kept(
    started: Callable[..., Run], executor: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    run = of(claimed(started()))

    with caplog.at_level(logging.WARNING):
        run.logger.warning("look", extra={"page": 3})

    assert (caplog.records[-1].page, caplog.records[-1].step) == (3, "one")  # type: ignore[attr-defined]


def statements(attempt: RunningAttempt, use: Callable[[Progress], object]) -> int:
    progress = Progress(attempt.report, context=attempt.context)
    with CaptureQueriesContext(connection) as queries:
        use(progress)
    return len(queries)


USES: list[tuple[str, Callable[[Progress], object], int]] = [
    ("nothing", lambda _: None, 0),
    ("names", lambda p: (p.run.id, p.run.workflow, p.run.step, p.run.attempt, p.run.logger), 0),
    ("params twice", lambda progress: (progress.run.params, progress.run.params), 1),
    ("time twice", lambda progress: (progress.run.scheduled_at, progress.run.scheduled_at), 1),
    ("signals twice", lambda progress: (progress.run.signals(), progress.run.signals()), 2),
]


@pytest.mark.parametrize(("use", "count"), [c[1:] for c in USES], ids=[c[0] for c in USES])
def test_only_what_is_asked_for_is_a_statement(
    started: Callable[..., Run], executor: Executor, use: Callable[[Progress], object], count: int
) -> None:
    assert statements(claimed(started()), use) == count


def test_an_approval_says_who_decided() -> None:
    run = run_inline(context.decided)
    give(run.pk, "release", {"decision": "approve", "comment": "fine"}, who="ann")

    continue_inline(run)

    release = run.steps.get(name="release").result
    assert run.result[-1] == {"release": release}
    assert (release["who"], release["comment"]) == ("ann", "fine")


def test_without_a_run_it_says_what_to_do() -> None:
    with pytest.raises(NotInRun, match="in a test, with run_inline"):
        context.ask()
    with pytest.raises(NotInRun):
        context.ask.apply(throw=True)
    with pytest.raises(NotInRun):
        _ = Progress(lambda *_: None).run


REFUSED: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("no such signal", {"name": "none", "text": "a"}, UnknownSignal),
    ("wrong values", {"name": "seen", "text": ""}, InvalidParams),
    ("no values", {"name": "seen"}, InvalidParams),
    ("others were first", {"name": "noted", "text": "b"}, SignalGiven),
]


@pytest.mark.parametrize(("given", "why"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_signal_that_does_not_fit_is_refused(
    executor: Executor, given: dict[str, Any], why: type[Exception]
) -> None:
    run = context.asking.start(number=1)
    give(run.pk, "noted", {"text": "a"})
    attempt = claimed_step(run, "ask_async")

    with pytest.raises(why):
        of(attempt).signal(given.pop("name"), **given)

    assert ReceivedSignal.objects.filter(run=run).count() == 1
    assert not attempt.lost


def claimed_step(run: Run, name: str) -> RunningAttempt:
    step = run.steps.select_related("run").get(name=name)
    attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    return attempt


def test_an_attempt_that_no_longer_counts_gives_nothing(executor: Executor) -> None:
    run = context.asking.start(number=1)
    attempt = claimed_step(run, "ask_async")
    record("ask_async", attempt.task_id, Meta().failed("its worker died"))

    with pytest.raises(AttemptLost):
        of(attempt).signal("noted", text="too late")

    assert attempt.lost
    assert not ReceivedSignal.objects.exists()


@pytest.fixture
def paged(own_registry: None) -> Run:
    """A run whose first child runs, with a `Map` over a signal, and a signal that is waited for."""
    steps = [
        Step(tasks.noop, name="scan", after=[], retries=1, inputs=lambda _: {}),
        Map(tasks.noop, over=Signal("page"), name="each", after=[]),
        Step(tasks.noop, name="merge", after=["scan", "late"], inputs=lambda _: {}),
    ]
    with publishing_off():
        return Workflow("paged", steps=steps, signals=[Signal("page"), Signal("late")]).start()


@pytest.mark.parametrize(
    ("name", "states"),
    [("page", {"page": "OK", "each": "OK"}), ("late", {"late": "SKIPPED"})],
)
def test_a_child_closes_a_signal_and_a_retry_changes_nothing(
    paged: Run, executor: Executor, name: str, states: dict[str, str]
) -> None:
    first = claimed_step(paged, "scan")
    of(first).close(name)
    record("scan", first.task_id, Meta().failed("it failed"), retry=RetryDecision())

    of(claimed_step(paged, "scan")).close(name)

    rows = paged.steps.filter(name__in=states).values_list("name", "state")
    assert dict(rows) == states
    history = Event.objects.filter(run=paged).values_list("what", "who", "detail")
    assert list(history) == [("close", "step scan", {"signal": name})]


CLOSED: list[tuple[str, str, type[Exception]]] = [
    ("no such signal", "none", UnknownSignal),
    ("it has come", "late", SignalGiven),
]


@pytest.mark.parametrize(("name", "why"), [c[1:] for c in CLOSED], ids=[c[0] for c in CLOSED])
def test_a_signal_that_cannot_be_closed_stays(
    paged: Run, executor: Executor, name: str, why: type[Exception]
) -> None:
    paged.signal("late")

    with pytest.raises(why):
        of(claimed_step(paged, "scan")).close(name)

    assert not Event.objects.filter(what="close").exists()


def test_an_attempt_that_no_longer_counts_closes_nothing(paged: Run, executor: Executor) -> None:
    attempt = claimed_step(paged, "scan")
    record("scan", attempt.task_id, Meta().failed("its worker died"))

    with pytest.raises(AttemptLost):
        of(attempt).close("page")

    assert paged.steps.get(name="page").state in ("RUNNING", "WAITING")


def test_a_run_that_was_deleted_ends_the_body(
    started: Callable[..., Run], executor: Executor
) -> None:
    attempt = claimed(started())
    attempt._header = {**attempt._header, "run": str(uuid4())}

    with pytest.raises(AttemptLost):
        _ = of(attempt).params

    assert attempt.lost
