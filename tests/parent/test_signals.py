"""Given a workflow with signals and approvals, what comes from outside counts once, at any time."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from rest_framework import serializers

from children.meta import Meta
from parent import Approval, RunData, Signal, Step, Workflow
from parent.errors import (
    InvalidParams,
    InvalidRetry,
    SignalClosed,
    SignalGiven,
    UnknownRun,
    UnknownSignal,
)
from parent.inline import continue_inline, run_inline
from parent.models import Event, Executor, ReceivedSignal, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.endings import record
from parent.runs.signals.give import close, give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store.run_rows import FULL_READ_LIMIT
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.test_tick import statements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


@pytest.fixture
def ticker(executor: Executor) -> Ticker:
    """One that holds the watch lease, and does not wait for children after an outage."""
    ticker = Ticker(executor.pk)
    while not ticker.tick():
        pass
    ticker._check_steps_from = 0.0
    return ticker


class Prices(serializers.Serializer[Any]):
    price = serializers.IntegerField(min_value=1)
    note = serializers.CharField(required=False)


class Secret(serializers.Serializer[Any]):
    password = serializers.CharField(style={"input_type": "password"})


def flow(*steps: Step, signals: Any = ()) -> Workflow:
    return Workflow(f"signals_{uuid4().hex}", steps=steps, signals=signals)


def child(name: str, **options: Any) -> Step:
    return Step(tasks.noop, name=name, inputs=lambda _: {}, **options)


PRICED = Signal("prices", params=Prices)


def priced(signal: Signal = PRICED, **options: Any) -> Run:
    """A run of `load`, then `merge`, which waits for the signal too."""
    steps = [child("load"), child("merge", after=["load", signal.name], **options)]
    return start(flow(*steps, signals=[signal]), {})


def end(run: Run, name: str, outcome: Meta | None = None) -> None:
    """End this step of the run as a child would."""
    step = run.steps.get(name=name)
    assert record(name, str(step.task_id), outcome or Meta().ok(None))


def states(run: Run) -> dict[str, str]:
    run.refresh_from_db()
    return dict(run.steps.values_list("name", "state"))


def test_a_signal_opens_when_all_else_has_ended_that_waits_with_it() -> None:
    run = priced()
    assert states(run) == {"load": "QUEUED", "merge": "WAITING", "prices": "WAITING"}

    end(run, "load")

    assert states(run) == {"load": "OK", "merge": "WAITING", "prices": "RUNNING"}
    signal = run.steps.get(name="prices")
    assert (signal.executor, signal.message_id, signal.publish_count) == (None, None, 0)
    assert signal.task_id
    assert signal.due_at is None
    assert (run.state, run.message) == ("PROGRESS", "prices: waits for this signal")


def test_giving_it_opens_what_waits_and_is_a_result() -> None:
    run = priced()
    end(run, "load")

    run.signal("prices", price=3)

    assert states(run) == {"load": "OK", "merge": "QUEUED", "prices": "OK"}
    assert run.steps.get(name="prices").result == {"price": 3}
    end(run, "merge")
    assert (states(run)["merge"], run.state, run.completion) == ("OK", "SUCCESS", 100)


def test_what_comes_early_is_kept_and_counts_when_the_step_opens() -> None:
    run = priced()

    give(run.pk, "prices", {"price": 3}, who="ann")

    assert states(run)["prices"] == "WAITING"
    end(run, "load")
    assert states(run) == {"load": "OK", "merge": "QUEUED", "prices": "OK"}
    assert run.steps.get(name="prices").result == {"price": 3}
    (event,) = Event.objects.filter(run=run)
    assert (event.who, event.what) == ("ann", "signal")
    assert event.detail == {"signal": "prices", "given": {"price": 3}}


def test_a_step_gets_the_values_as_a_result() -> None:
    merge = Step(
        tasks.add, name="merge", after=["prices"], inputs=lambda run: {"a": 1, "b": _price(run)}
    )
    run = start(flow(merge, signals=[PRICED]), {})

    run.signal("prices", price=7)

    assert run.steps.get(name="merge").kwargs == {"a": 1, "b": 7}


def _price(run: RunData) -> int:
    price: int = run.results["prices"]["price"]
    return price


REFUSE_OK = {
    "sqlite": """CREATE TRIGGER refuses BEFORE UPDATE ON parent_step
        WHEN NEW.name = 'prices' AND NEW.state = 'OK' BEGIN SELECT RAISE(ABORT, 'no'); END""",
    "postgresql": """SET CONSTRAINTS ALL IMMEDIATE;
        ALTER TABLE parent_step ADD CONSTRAINT refuses
        CHECK (name <> 'prices' OR state <> 'OK') NOT VALID""",
}


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("others", [0, FULL_READ_LIMIT])
def test_what_cannot_be_stored_as_an_end_ends_the_step_with_that_error(
    others: int, in_transaction: bool
) -> None:
    steps = [child("load"), child("merge", after=["load", "prices"])]
    steps += [child(f"other {number}", after=["merge"]) for number in range(others)]
    run = start(flow(*steps, signals=[PRICED]), {})
    end(run, "load")
    with connection.cursor() as cursor:
        cursor.execute(REFUSE_OK[connection.vendor])

    with transaction.atomic() if in_transaction else nullcontext():
        came = give(run.pk, "prices", {"price": 3}, who="ana")

    error = str(run.steps.get(name="prices").error)
    assert error.startswith("Error in prices: the outcome could not be recorded: ")
    assert states(run)["merge"] == "SKIPPED"
    assert run.state == "FAILURE"
    assert [(row.pk, row.who) for row in ReceivedSignal.objects.filter(run=run)] == [
        (came.pk, "ana")
    ]
    assert Event.objects.filter(run=run, what="signal").count() == 1


def test_the_same_again_is_the_same_answer_and_other_values_are_refused() -> None:
    run = priced()
    first = give(run.pk, "prices", {"price": 3}, who="ann")

    again = give(run.pk, "prices", {"price": "3"}, who="bob")

    assert (again.pk, again.who) == (first.pk, "ann")
    with pytest.raises(SignalGiven, match=r"given by ann at .*The first one counts"):
        give(run.pk, "prices", {"price": 4})
    assert ReceivedSignal.objects.get(run=run).values == {"price": 3}
    assert Event.objects.filter(run=run).count() == 1


def test_the_same_again_is_the_same_answer_after_the_end_too() -> None:
    run = priced()
    first = give(run.pk, "prices", {"price": 3})
    end(run, "load")
    end(run, "merge")

    assert give(run.pk, "prices", {"price": 3}).pk == first.pk


class Anything(serializers.Serializer[Any]):
    value = serializers.JSONField()


@pytest.mark.parametrize(
    "value",
    [1e16, 1e23, 1e300, 5e-324, -0.0, 1.0, 10**400, [0.1, {"b": -1e22, "a": None}], "1e16"],
    ids=lambda value: str(value)[:20],
)
def test_a_number_is_the_same_again_however_the_database_writes_it(value: Any) -> None:
    run = start(flow(child("load"), signals=[Signal("told", params=Anything)]), {})
    first = give(run.pk, "told", {"value": value})

    assert give(run.pk, "told", {"value": value}).pk == first.pk


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, "1"), (1, [1]), (10**30, 10**30 + 1), ([0], [None])],
    ids=str,
)
def test_other_json_is_not_the_same_again(one: Any, other: Any) -> None:
    run = start(flow(child("load"), signals=[Signal("told", params=Anything)]), {})
    give(run.pk, "told", {"value": one})

    with pytest.raises(SignalGiven):
        give(run.pk, "told", {"value": other})


BAD = [
    ("missing", {}, "price"),
    ("wrong", {"price": "many"}, "price"),
    ("too small", {"price": 0}, "price"),
    ("unknown", {"price": 1, "colour": "red"}, "colour"),
    ("nul", {"price": 1, "note": "a\0b"}, "note"),
    ("too deep", {"price": 1, "note": [[[]]] * 3}, "note"),
    ("too large", {"price": 1, "note": "x" * 70_000}, "non_field_errors"),
]


@pytest.mark.parametrize(("values", "field"), [c[1:] for c in BAD], ids=[c[0] for c in BAD])
def test_bad_values_are_refused_by_field_and_nothing_is_stored(
    values: dict[str, Any], field: str
) -> None:
    run = priced()

    with pytest.raises(InvalidParams) as refused:
        give(run.pk, "prices", values)

    assert list(refused.value.errors) == [field]
    assert not ReceivedSignal.objects.exists()
    assert not Event.objects.exists()


def test_a_signal_without_params_takes_no_values() -> None:
    run = priced(Signal("prices"))

    with pytest.raises(InvalidParams):
        run.signal("prices", price=1)
    run.signal("prices")

    assert ReceivedSignal.objects.get(run=run).values == {}


def test_the_limit_of_the_size_can_be_off(settings: Any) -> None:
    settings.WORKFLOW_SIGNAL_LIMIT = 0
    run = priced()

    run.signal("prices", price=1, note="x" * 70_000)

    assert ReceivedSignal.objects.count() == 1


def test_an_unknown_name_or_run_says_what_there_is() -> None:
    run = priced()

    with pytest.raises(UnknownSignal, match="no signal or approval 'load'; it takes: prices"):
        run.signal("load")
    with pytest.raises(UnknownRun):
        give(UUID(int=0), "prices", {})


def ended(run: Run) -> None:
    end(run, "load", Meta().failed("bad"))


def cancelled(run: Run) -> None:
    cancel(run.pk)


def closed(run: Run) -> None:
    close(run.pk, "prices", who="ann")


CLOSED: list[tuple[Callable[[Run], Any], str]] = [
    (ended, "it was skipped .*nothing waits for it any more"),
    (cancelled, "it was cancelled"),
    (closed, "it was skipped .*closed by ann"),
]


@pytest.mark.parametrize(("how", "why"), CLOSED, ids=[how.__name__ for how, _ in CLOSED])
def test_what_can_no_longer_be_given_says_why(how: Callable[[Run], Any], why: str) -> None:
    run = start(
        flow(
            child("load"),
            child("other", after=()),
            child("merge", after=["load", "prices"]),
            signals=[PRICED],
        )
        if how is closed
        else flow(child("load"), child("merge", after=["load", "prices"]), signals=[PRICED]),
        {},
    )
    how(run)

    with pytest.raises(SignalClosed, match=why):
        run.signal("prices", price=1)

    assert not ReceivedSignal.objects.exists()


def test_closing_a_signal_skips_it_and_what_waits_for_it_and_is_no_failure() -> None:
    run = priced()
    end(run, "load")

    close(run.pk, "prices", who="ann")

    assert states(run) == {"load": "OK", "merge": "SKIPPED", "prices": "SKIPPED"}
    assert run.state == RunState.SUCCESS
    assert run.steps.get(name="prices").message == "skipped: closed by ann"
    assert Event.objects.get(run=run).what == "close"


def test_a_signal_that_came_cannot_be_closed() -> None:
    run = priced()
    run.signal("prices", price=1)

    with pytest.raises(SignalGiven):
        close(run.pk, "prices")


def test_a_signal_that_nothing_waits_for_any_more_does_not_keep_the_run() -> None:
    load, merge = child("load", after=()), child("merge", after=["load", "prices"])
    run = start(flow(load, merge, child("other", after=["prices"]), signals=[PRICED]), {})
    assert states(run)["prices"] == "RUNNING"

    end(run, "load", Meta().failed("bad"))
    assert states(run)["prices"] == "RUNNING"  # `other` still waits for it
    run.signal("prices", price=1)
    end(run, "other")

    assert run.state != RunState.FAILURE
    assert states(run)["merge"] == "SKIPPED"
    assert run.state == RunState.FAILURE


def test_a_signal_that_no_step_names_is_open_until_the_run_ends() -> None:
    run = start(flow(child("load"), signals=[Signal("hint")]), {})
    assert states(run) == {"load": "QUEUED", "hint": "RUNNING"}

    end(run, "load")

    assert states(run) == {"load": "OK", "hint": "SKIPPED"}
    assert run.state == RunState.SUCCESS


@pytest.mark.parametrize("early", [True, False])
def test_a_step_is_skipped_if_the_signal_in_its_unless_was_there_first(early: bool) -> None:
    steps = [child("load"), child("ask", after=["load"], unless=["answer"])]
    run = start(flow(*steps, signals=[Signal("answer")]), {})

    if early:
        run.signal("answer")
    end(run, "load")

    assert states(run)["ask"] == ("SKIPPED" if early else "QUEUED")
    if early:
        assert run.steps.get(name="ask").message == "skipped: answer was there first"
        assert run.state == RunState.SUCCESS
    else:
        assert states(run)["answer"] == "SKIPPED"


def test_a_step_is_skipped_at_once_if_a_step_in_its_unless_is_ok() -> None:
    steps = [
        child("fast", after=()),
        child("slow", after=()),
        child("last", after=["slow"], unless=["fast"]),
    ]
    run = start(flow(*steps), {})

    end(run, "fast")

    assert states(run) == {"fast": "OK", "slow": "QUEUED", "last": "SKIPPED"}


def pass_time(run: Run, name: str) -> None:
    StepRow.objects.filter(run=run, name=name).update(due_at=Now() - timedelta(seconds=1))


def test_the_timeout_counts_from_when_something_waits() -> None:
    run = priced(Signal("prices", params=Prices, timeout=60))
    assert run.steps.get(name="prices").due_at is None

    end(run, "load")

    step = run.steps.get(name="prices")
    assert step.due_at
    assert step.queued_at
    assert step.due_at - step.queued_at == timedelta(seconds=60)


def test_a_timeout_is_an_error_of_its_own(ticker: Ticker) -> None:
    run = priced(Signal("prices", params=Prices, timeout=60))
    end(run, "load")
    pass_time(run, "prices")

    ticker.tick()

    assert states(run) == {"load": "OK", "merge": "SKIPPED", "prices": "ERROR"}
    assert (run.state, run.error) == ("FAILURE", "prices did not come within 60 s")
    with pytest.raises(SignalClosed, match="did not come within 60 s"):
        run.signal("prices", price=1)


def test_a_timeout_may_skip(ticker: Ticker) -> None:
    run = priced(Signal("prices", params=Prices, timeout=60, on_timeout="skip"))
    end(run, "load")
    pass_time(run, "prices")

    ticker.tick()

    assert states(run) == {"load": "OK", "merge": "SKIPPED", "prices": "SKIPPED"}
    assert run.state == RunState.SUCCESS
    assert "did not come within 60 s" in run.steps.get(name="prices").message


def test_what_came_before_the_tick_is_in_time(ticker: Ticker) -> None:
    run = priced(Signal("prices", params=Prices, timeout=60))
    end(run, "load")
    pass_time(run, "prices")

    run.signal("prices", price=1)
    ticker.tick()

    assert states(run)["prices"] == "OK"


def test_a_cancel_ends_what_waits_at_once() -> None:
    run = priced()
    end(run, "load")

    cancel(run.pk)

    assert states(run) == {"load": "OK", "merge": "CANCELLED", "prices": "CANCELLED"}
    assert run.state == RunState.REVOKED


def test_a_retry_keeps_what_was_given() -> None:
    run = priced()
    end(run, "load")
    run.signal("prices", price=1)
    end(run, "merge", Meta().failed("bad"))

    retry(run.pk, step="load")
    end(run, "load")

    assert states(run) == {"load": "OK", "merge": "QUEUED", "prices": "OK"}


def test_a_retry_from_a_signal_keeps_what_was_given_and_runs_what_comes_after_it() -> None:
    run = priced()
    end(run, "load")
    run.signal("prices", price=1)
    end(run, "merge", Meta().failed("bad"))

    retry(run.pk, step="prices")

    assert states(run) == {"load": "OK", "merge": "QUEUED", "prices": "OK"}
    assert run.steps.get(name="prices").result == {"price": 1}
    assert ReceivedSignal.objects.filter(run=run).count() == 1


def test_a_signal_that_was_late_is_asked_for_again_by_a_retry(ticker: Ticker) -> None:
    run = priced(Signal("prices", params=Prices, timeout=60))
    end(run, "load")
    pass_time(run, "prices")
    ticker.tick()

    retry(run.pk)

    assert states(run) == {"load": "OK", "merge": "WAITING", "prices": "RUNNING"}
    run.signal("prices", price=1)
    assert states(run)["merge"] == "QUEUED"


def test_a_signal_can_be_skipped_with_a_result(ticker: Ticker) -> None:
    run = priced(Signal("prices", params=Prices, timeout=60))
    end(run, "load")
    pass_time(run, "prices")
    ticker.tick()

    retry(run.pk, step="prices", skip=True, result={"price": 5})

    assert states(run)["merge"] == "QUEUED"


def test_a_signal_takes_no_inputs_of_a_retry(ticker: Ticker) -> None:
    run = priced(Signal("prices", params=Prices, timeout=60))
    end(run, "load")
    pass_time(run, "prices")
    ticker.tick()

    with pytest.raises(InvalidRetry, match="has no inputs: it waits for a signal"):
        retry(run.pk, step="prices", inputs={"price": 5})


def test_secrets_are_in_no_history() -> None:
    run = start(flow(child("use", after=["key"]), signals=[Signal("key", params=Secret)]), {})

    run.signal("key", password="hunter2")

    assert "hunter2" not in str(Event.objects.get(run=run).detail)
    assert run.steps.get(name="key").result == {"password": "hunter2"}


APPROVAL = Approval("release", form=Prices)


def asked(approval: Approval = APPROVAL) -> Run:
    run = start(flow(child("load"), approval, child("publish")), {})
    end(run, "load")
    return run


def test_an_approval_waits_for_a_decision() -> None:
    run = asked()
    assert states(run) == {"load": "OK", "release": "RUNNING", "publish": "WAITING"}
    assert run.message == "release: waits for an approval"

    give(run.pk, "release", {"decision": "approve", "comment": "fine", "price": 3}, who="ann")

    assert states(run) == {"load": "OK", "release": "OK", "publish": "QUEUED"}
    assert run.steps.get(name="release").result == {
        "decision": "approve",
        "comment": "fine",
        "values": {"price": 3},
        "who": "ann",
    }
    assert Event.objects.get(run=run).what == "approve"


def test_a_rejection_is_an_error_that_names_who_and_why() -> None:
    run = asked()

    give(run.pk, "release", {"decision": "reject", "comment": "too dear"}, who="ann")

    assert states(run) == {"load": "OK", "release": "ERROR", "publish": "SKIPPED"}
    assert (run.state, run.error) == ("FAILURE", "release was rejected by ann: too dear")
    assert Event.objects.get(run=run).what == "reject"


BAD_DECISIONS = [
    ("none", {"price": 1}, "decision"),
    ("another", {"decision": "perhaps", "price": 1}, "decision"),
    ("form", {"decision": "approve"}, "price"),
    ("comment", {"decision": "reject", "comment": "x" * 2_001}, "comment"),
    ("unknown", {"decision": "reject", "colour": "red"}, "colour"),
]


@pytest.mark.parametrize(
    ("values", "field"), [c[1:] for c in BAD_DECISIONS], ids=[c[0] for c in BAD_DECISIONS]
)
def test_bad_decisions_are_refused_by_field(values: dict[str, Any], field: str) -> None:
    run = asked()

    with pytest.raises(InvalidParams) as refused:
        give(run.pk, "release", values)

    assert list(refused.value.errors) == [field]
    assert states(run)["release"] == "RUNNING"


def test_a_rejection_needs_no_field_of_the_form() -> None:
    run = asked()

    give(run.pk, "release", {"decision": "reject", "price": "unusable"})

    assert run.steps.get(name="release").error == "release was rejected"


def test_an_early_rejection_counts_when_the_approval_opens() -> None:
    run = start(flow(child("load"), APPROVAL, child("publish")), {})
    give(run.pk, "release", {"decision": "reject"}, who="ann")

    end(run, "load")

    assert states(run) == {"load": "OK", "release": "ERROR", "publish": "SKIPPED"}
    assert run.error == "release was rejected by ann"


def test_a_retry_asks_again() -> None:
    run = asked()
    give(run.pk, "release", {"decision": "reject"}, who="ann")

    retry(run.pk)
    assert states(run) == {"load": "OK", "release": "RUNNING", "publish": "WAITING"}
    give(run.pk, "release", {"decision": "approve", "price": 1}, who="bob")

    assert states(run)["publish"] == "QUEUED"
    said = Event.objects.filter(run=run).values_list("what", flat=True)
    assert list(said) == ["reject", "retry", "approve"]


def test_a_decision_for_an_earlier_time_does_not_count() -> None:
    run = asked()
    before = run.steps.get(name="release").task_id
    give(run.pk, "release", {"decision": "reject"}, who="ann")
    retry(run.pk)

    with pytest.raises(SignalClosed, match="asked for again"):
        give(run.pk, "release", {"decision": "approve", "price": 1}, task_id=before)


def test_an_optional_approval_that_is_rejected_does_not_fail_the_run() -> None:
    run = asked(Approval("release", optional=True))

    give(run.pk, "release", {"decision": "reject"})

    assert states(run)["publish"] == "QUEUED"


def test_an_approval_cannot_be_closed() -> None:
    run = asked()

    with pytest.raises(UnknownSignal, match="approve or reject it"):
        close(run.pk, "release")


def test_a_run_of_nothing_but_an_approval_ends() -> None:
    run = start(flow(Approval("release")), {})
    assert (run.state, run.completion) == ("STARTED", 0)

    give(run.pk, "release", {"decision": "approve"}, who="ann")

    assert states(run) == {"release": "OK"}
    assert (run.state, run.completion) == ("SUCCESS", 100)


@pytest.mark.parametrize("early", [True, False])
def test_signals_count_in_a_run_of_many_steps(early: bool) -> None:
    many = [child(f"s{n}", after=()) for n in range(60)]
    steps = [
        *many,
        child("merge", after=["s0", "prices"]),
        child("ask", after=["s1"], unless=["prices"]),
    ]
    run = start(flow(*steps, signals=[Signal("prices")]), {})
    assert states(run)["prices"] == "RUNNING"  # an `unless` names it
    if early:
        run.signal("prices")
    for step in many:
        end(run, step.name)
    if not early:
        assert states(run)["ask"] == "QUEUED"
        run.signal("prices")
    end(run, "merge")
    if not early:
        end(run, "ask")

    assert states(run)["ask"] == ("SKIPPED" if early else "OK")
    assert run.state == RunState.SUCCESS, states(run)


def test_in_a_run_of_many_steps_an_unwanted_signal_ends_with_the_rest() -> None:
    many = [child(f"s{n}", after=()) for n in range(40)]
    steps = [*many, child("merge", after=["s0", "prices"])]
    run = start(flow(*steps, signals=[Signal("prices")]), {})
    end(run, "s0", Meta().failed("bad"))

    for step in many[1:]:
        end(run, step.name)

    assert states(run)["prices"] == "SKIPPED"
    assert run.state == RunState.FAILURE


def test_a_quiet_tick_costs_the_same_for_many_that_wait(ticker: Ticker) -> None:
    cancel(priced(Signal("prices", timeout=600)).pk)
    statements(ticker)
    without = statements(ticker)
    for _ in range(5):
        end(priced(Signal("prices", timeout=600)), "load")
    statements(ticker)
    with_many = statements(ticker)

    assert len(with_many) == len(without)
    assert StepRow.objects.filter(state=StepState.RUNNING).count() == 5


def test_an_inline_run_comes_back_while_it_waits_and_goes_on_when_told() -> None:
    run = run_inline(flow(child("load"), Approval("release"), child("publish")))
    assert states(run) == {"load": "OK", "release": "RUNNING", "publish": "WAITING"}

    run.signal("release", decision="approve")

    assert continue_inline(run).state == RunState.SUCCESS
    assert states(run)["publish"] == "OK"
