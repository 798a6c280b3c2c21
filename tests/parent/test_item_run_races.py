"""Items that are child runs end, open, are cancelled and retried by many at once: no circle of
waits, nothing is lost, nothing runs twice.
"""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from parent import Map, Step, Workflow
from parent.definition.workflow import registry
from parent.models import Item, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs import endings
from parent.runs.cancel import cancel
from parent.runs.items.child_runs import ChildRunsOfItems, open_child_runs
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.watch.tick import Ticker
from tests.flows import tasks
from tests.parent.items import check_items, mapped
from tests.parent.test_item_races import Fleet, fleet, run_to_end
from tests.parent.test_nested_races import executor_id, once
from tests.parent.test_tick import statements

__all__ = ["executor_id", "fleet"]

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS, INSIDE, PLACES = 12, 3, 4


@pytest.fixture
def workflow() -> Iterator[Workflow]:
    """A Map over a workflow of two steps and a Map over another one, of two steps too."""
    before = dict(registry._workflows)
    two = [Step(tasks.noop, name="one"), Step(tasks.noop, name="two")]
    inner = Workflow("inner", steps=two)
    within = Map(inner, name="within", over=lambda _: [{}] * INSIDE, max_active=2)
    middle = Workflow("middle", steps=[Step(tasks.noop, name="first"), within])
    each = Map(middle, name="each", over=lambda _: [{}] * ITEMS, max_active=PLACES)
    yield Workflow("outer", steps=[each, Step(tasks.noop, name="last")])
    registry._workflows.clear()
    registry._workflows.update(before)


def assert_over(*states: RunState) -> None:
    """All runs have ended in one of these states, and nothing is left to do in any of them."""
    assert set(Run.objects.values_list("state", flat=True)) <= set(states)
    assert not Run.objects.exclude(due_at=None).exists()
    assert not StepRow.objects.filter(state__in=StepRow.ACTIVE).exists()
    assert not Item.objects.filter(state__in=Item.LEFT).exists()
    for step in StepRow.objects.filter(items__isnull=False):
        check_items(step)


def assert_each_item_ends_as_its_run() -> None:
    for item in Item.objects.filter(child_run_id__isnull=False):
        assert item.status == Run.objects.get(pk=str(item.child_run_id)).status, item.error


def test_all_ends_come_up_once_and_no_more_go_on_than_may(
    fleet: Fleet, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = []
    take = fleet._take

    def counted(task_id: str) -> None:
        take(task_id)
        most.append(Item.objects.filter(step__name="each", state=StepState.RUNNING).count())

    monkeypatch.setattr(fleet, "_take", counted)
    run = start(workflow, {})

    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)
    assert_each_item_ends_as_its_run()
    runs = ITEMS * INSIDE
    assert fleet.done == {"first": ITEMS, "one": runs, "two": runs, "last": 1}
    assert set(StepRow.objects.values_list("attempt", flat=True)) == {1}
    assert set(Item.objects.values_list("attempt", flat=True)) == {1}
    assert Run.objects.count() == 1 + ITEMS + runs
    assert 1 < max(most) <= PLACES


def test_ticks_do_what_no_process_did(
    fleet: Fleet, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = ChildRunsOfItems.open
    monkeypatch.setattr(endings, "bring_up_after_commit", lambda _: None)
    monkeypatch.setattr(ChildRunsOfItems, "open", lambda *_: None)
    run = start(workflow, {})

    def only_in_ticks(self: ChildRunsOfItems, step_id: int) -> None:
        if threading.current_thread() is threading.main_thread():
            work(self, step_id)

    monkeypatch.setattr(ChildRunsOfItems, "open", only_in_ticks)
    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)
    assert_each_item_ends_as_its_run()


@pytest.mark.parametrize("after", [1, 10, 40])
def test_a_cancel_among_the_ends(fleet: Fleet, workflow: Workflow, after: int) -> None:
    run = start(workflow, {})

    run_to_end(fleet, run, meanwhile=once(fleet, after, lambda: cancel(run.pk, grace=0.0)))

    assert run.state == RunState.REVOKED
    assert_over(RunState.REVOKED, RunState.SUCCESS)
    assert_each_item_ends_as_its_run()


def test_the_end_of_the_whole_run_among_the_ends(fleet: Fleet, workflow: Workflow) -> None:
    run = start(workflow, {})

    run_to_end(fleet, run, meanwhile=once(fleet, 8, lambda: endings.end_run(run.pk, "too late")))
    end_all_inside(fleet)

    assert (run.state, run.error) == (RunState.FAILURE, "too late")
    assert_over(RunState.FAILURE, RunState.REVOKED, RunState.SUCCESS)


def end_all_inside(fleet: Fleet) -> None:
    """Until the runs inside have ended too, which were cancelled."""
    for run in Run.objects.order_by("-depth"):
        fleet.messages = Fleet().messages
        run_to_end(fleet, run)


def test_a_retry_after_a_cancel_ends_well(fleet: Fleet, workflow: Workflow) -> None:
    run = start(workflow, {})
    run_to_end(fleet, run, meanwhile=once(fleet, 15, lambda: cancel(run.pk, grace=0.0)))
    done = StepRow.objects.filter(state=StepState.OK, task="flows.noop").count()
    fleet.messages = Fleet().messages

    retry(run.pk)
    run.refresh_from_db()
    run_to_end(fleet, run)

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)
    assert_each_item_ends_as_its_run()
    assert done <= StepRow.objects.filter(attempt=1, task="flows.noop").count()


def test_a_retry_at_once_after_the_end_waits_for_the_runs_that_still_end(
    fleet: Fleet, workflow: Workflow
) -> None:
    run = start(workflow, {})

    def end_and_retry() -> None:
        endings.end_run(run.pk, "too late")
        retry(run.pk)

    run_to_end(fleet, run, meanwhile=once(fleet, 8, end_and_retry))

    assert run.state == RunState.SUCCESS
    assert_over(RunState.SUCCESS)
    assert_each_item_ends_as_its_run()


def test_a_quiet_tick_has_no_more_statements(executor_id: Any, workflow: Workflow) -> None:
    ticker = Ticker(executor_id)
    step = mapped(start(workflow, {}))
    open_child_runs(step.pk)
    while not ticker.tick():
        pass
    statements(ticker)

    assert len(statements(ticker)) == 2
