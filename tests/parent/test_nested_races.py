"""Runs inside of a run end, are cancelled and retried by many at once: no circle, nothing lost."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parent import Step, Workflow
from parent.definition.workflow import registry
from parent.messages import publish
from parent.models import Executor, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs import endings
from parent.runs.cancel import cancel
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import leases
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.test_item_races import TIMEOUT, Fleet, fleet, run_to_end
from tests.parent.test_tick import statements

__all__ = ["fleet"]

pytestmark = pytest.mark.django_db(transaction=True)

WIDE = 4


@pytest.fixture
def nested() -> Iterator[Workflow]:
    """A workflow of four runs side by side, each of four runs side by side, each of two steps."""
    before = dict(registry._workflows)
    inner = Workflow("inner", steps=[Step(tasks.noop, name="one"), Step(tasks.noop, name="two")])
    middle = Workflow(
        "middle", steps=[Step(inner, name=f"inner-{n}", after=()) for n in range(WIDE)]
    )
    yield Workflow(
        "outer",
        steps=[
            *(Step(middle, name=f"middle-{n}", after=()) for n in range(WIDE)),
            Step(tasks.noop, name="last", after=[f"middle-{n}" for n in range(WIDE)]),
        ],
    )
    registry._workflows.clear()
    registry._workflows.update(before)


def assert_over(*states: RunState) -> None:
    """All runs have ended in one of these states, and nothing is left to do in any of them."""
    assert Run.objects.count() == 1 + WIDE + WIDE * WIDE
    assert set(Run.objects.values_list("state", flat=True)) <= set(states)
    assert not Run.objects.exclude(due_at=None).exists()
    assert not StepRow.objects.filter(state__in=StepRow.ACTIVE).exists()
    for child in Run.objects.exclude(parent_run=None):
        step = StepRow.objects.get(child_run_id=child.pk)
        assert step.status == child.status, (step.state, child.state)


def test_all_ends_come_up_once(fleet: Fleet, nested: Workflow) -> None:
    run = start(nested, {})

    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)
    assert fleet.done == {"one": WIDE * WIDE, "two": WIDE * WIDE, "last": 1}
    assert set(StepRow.objects.values_list("attempt", flat=True)) == {1}


def test_ticks_bring_up_what_no_process_did(
    fleet: Fleet, nested: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "bring_up_after_commit", lambda _: None)
    run = start(nested, {})

    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)


@pytest.mark.parametrize("after", [1, 10, 25])
def test_a_cancel_among_the_ends(fleet: Fleet, nested: Workflow, after: int) -> None:
    run = start(nested, {})

    run_to_end(fleet, run, meanwhile=once(fleet, after, lambda: cancel(run.pk, grace=0.0)))

    assert run.state == RunState.REVOKED
    assert_over(RunState.REVOKED, RunState.SUCCESS)


def once(fleet: Fleet, after: int, act: Callable[[], Any]) -> Callable[[], bool]:
    """A function that acts as soon as so many bodies have begun; others wait until it has."""
    run, acted = fleet._run, threading.Event()

    def held(attempt: Any) -> None:
        if fleet.done.total() >= after:
            assert acted.wait(TIMEOUT)
        run(attempt)

    def when_so_many_have_begun() -> bool:
        if fleet.done.total() < after:
            return False
        act()
        acted.set()
        return True

    fleet._run = held  # type: ignore[method-assign]
    return when_so_many_have_begun


def test_the_end_of_the_whole_run_among_the_ends(fleet: Fleet, nested: Workflow) -> None:
    run = start(nested, {})

    run_to_end(fleet, run, meanwhile=once(fleet, 8, lambda: endings.end_run(run.pk, "too late")))

    assert (run.state, run.error) == (RunState.FAILURE, "too late")
    assert_over(RunState.FAILURE, RunState.SUCCESS)


def test_a_retry_after_a_cancel_ends_well(fleet: Fleet, nested: Workflow) -> None:
    run = start(nested, {})
    run_to_end(fleet, run, meanwhile=once(fleet, 10, lambda: cancel(run.pk, grace=0.0)))
    done = StepRow.objects.filter(state=StepState.OK, task="flows.noop").count()
    fleet.messages = Fleet().messages

    retry(run.pk)
    run.refresh_from_db()
    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)
    assert done <= StepRow.objects.filter(attempt=1, task="flows.noop").count()


def test_a_quiet_tick_has_no_more_statements(executor_id: Any, nested: Workflow) -> None:
    ticker = Ticker(executor_id)
    start(nested, {})
    while not ticker.tick():
        pass
    statements(ticker)

    assert len(statements(ticker)) == 2


@pytest.fixture
def executor_id(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(publish, "_send", lambda *_, **__: True)
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(leases, "_this", row.pk)
    return row.pk
