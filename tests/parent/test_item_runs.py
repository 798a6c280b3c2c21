"""A Map over a workflow: each item is a child run."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from rest_framework import serializers

from children import Progress, child_task
from parent import Concurrency, Map, Signal, Step, Workflow
from parent.checks import check_workflow
from parent.definition.workflow import registry
from parent.deletion.delete import delete_run
from parent.deletion.prune import prune_all
from parent.errors import CannotRetry, InsideRun, RunActive
from parent.inline import continue_inline, run_inline
from parent.messages.publish import publishing_off
from parent.models import Event, Executor, Item, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.endings import bring_up, end_run
from parent.runs.items.child_runs import ChildRunsOfItems, open_child_runs
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import leases
from parent.watch.mirror import mirror
from parent.watch.tick import Ticker
from tests.parent.items import check_items, mapped

pytestmark = pytest.mark.django_db

seen: list[Any] = []
broken: set[Any] = set()


class Amount(serializers.Serializer[Any]):
    n = serializers.IntegerField(min_value=0)


@child_task(name="item_runs.double")
def double(progress: Progress, n: int) -> int:
    """Return twice the number; fail while it is broken."""
    seen.append(n)
    if n in broken:
        raise ValueError(f"{n} is broken")
    return 2 * n


@child_task(name="item_runs.note")
def note(progress: Progress, value: Any) -> Any:
    return value


@pytest.fixture(autouse=True)
def _names() -> Iterator[None]:
    before = dict(registry._workflows)
    seen.clear()
    broken.clear()
    yield
    registry._workflows.clear()
    registry._workflows.update(before)


@pytest.fixture
def inner() -> Workflow:
    first = Step(note, name="first", inputs=lambda _: {"value": 1})
    return Workflow("inner", params=Amount, steps=[first, Step(double)])


def outer_of(inner: Any, over: Any = 3, *after: Step, **options: Any) -> Workflow:
    """A workflow that maps `inner` over the numbers below `over`, or over what that gives."""
    given = over if callable(over) or isinstance(over, Step) else lambda _: [*range(over)]
    steps = [Map(inner, name="each", over=given, **options), *after]
    return Workflow("outer", steps=steps)


def begin(workflow: Workflow) -> Run:
    """Start it, and do what follows the commit."""
    with publishing_off():
        run = start(workflow, {})
    open_child_runs(mapped(run).pk)
    return run


def items_of(run: Run) -> list[Item]:
    return list(Item.objects.filter(step__run=run).select_related("step").order_by("index"))


def children_of(run: Run) -> list[Run]:
    """The child runs of its items, in the items' order."""
    found = Run.objects.in_bulk([item.child_run_id for item in items_of(run) if item.child_run_id])
    return [found[item.child_run_id] for item in items_of(run) if item.child_run_id]


def go_on(run: Run) -> None:
    """Run what is queued, as `run_inline` does."""
    run.refresh_from_db()
    with publishing_off():
        continue_inline(run)
    run.refresh_from_db()


def test_each_item_is_a_run_whose_result_is_the_items(inner: Workflow) -> None:
    merge = Step(note, inputs=lambda run: {"value": list(run.results["each"].ok())})

    run = run_inline(outer_of(inner, 3, merge))

    assert (run.state, run.result, sorted(seen)) == (RunState.SUCCESS, [0, 2, 4], [0, 1, 2])
    children = children_of(run)
    assert [child.params for child in children] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert {(c.state, c.parent_run_id, c.depth, c.due_at) for c in children} == {
        (RunState.SUCCESS, run.pk, 1, None)
    }
    assert [item.result for item in items_of(run)] == [0, 2, 4]
    assert check_items(mapped(run)) == {"ok": 3}


def test_a_failed_run_is_a_failed_item_with_its_error(inner: Workflow) -> None:
    broken.add(1)

    run = run_inline(outer_of(inner, 3))

    assert run.state == RunState.FAILURE
    assert [item.state for item in items_of(run)] == ["OK", "ERROR", "OK"]
    assert items_of(run)[1].error == "Error in each[1]: double: 1 is broken"
    assert "1 of 3 items failed" in (run.error or "")
    assert "double: 1 is broken" in (run.error or "")


def test_as_many_may_fail_as_it_tolerates(inner: Workflow) -> None:
    broken.update({1, 2})
    errors = Step(
        note, inputs=lambda run: {"value": [e.error for e in run.results["each"].failed()]}
    )

    run = run_inline(outer_of(inner, 5, errors, tolerate=2))

    assert run.state == RunState.SUCCESS
    assert run.result == [f"Error in each[{n}]: double: {n} is broken" for n in (1, 2)]


def test_past_what_it_tolerates_no_further_run_opens(inner: Workflow) -> None:
    broken.update({0, 1})

    run = run_inline(outer_of(inner, 9, max_active=1, tolerate=1))

    assert run.state == RunState.FAILURE
    assert check_items(mapped(run)) == {"failed": 2, "skipped": 7}
    assert len(children_of(run)) == 2


def test_no_items_are_ok_at_once(inner: Workflow) -> None:
    assert run_inline(outer_of(inner, 0)).state == RunState.SUCCESS
    assert Run.objects.count() == 1


@pytest.mark.parametrize(("max_active", "first"), [(None, 32), (2, 2), (40, 32)])
def test_at_first_as_many_runs_open_as_there_are_places(
    inner: Workflow, max_active: int | None, first: int
) -> None:
    run = begin(outer_of(inner, 50, max_active=max_active))

    assert check_items(mapped(run)) == {"running": first, "waiting": 50 - first}
    assert len(children_of(run)) == first
    assert open_child_runs(mapped(run).pk) == 0


def test_more_runs_open_when_those_that_are_open_have_begun(inner: Workflow) -> None:
    run = begin(outer_of(inner, 90))
    Item.objects.filter(step__run=run, state="RUNNING").update(reported_at=Now())

    assert open_child_runs(mapped(run).pk) == 32
    assert check_items(mapped(run)) == {"running": 64, "waiting": 26}


def end_child(child: Run, state: RunState = RunState.SUCCESS) -> None:
    """End this run as its steps would, without bodies."""
    StepRow.objects.filter(run=child).update(
        state="OK" if state == RunState.SUCCESS else "ERROR", finished_at=Now()
    )
    error = None if state == RunState.SUCCESS else "Error in double: bad"
    Run.objects.filter(pk=child.pk).update(
        state=state, finished_at=Now(), due_at=Now(), error=error, result=7
    )


def test_the_end_of_a_run_opens_the_next_item(inner: Workflow) -> None:
    run = begin(outer_of(inner, 3, max_active=1))
    [child] = children_of(run)
    end_child(child)

    assert bring_up(child.pk)

    assert [item.state for item in items_of(run)] == ["OK", "RUNNING", "WAITING"]
    assert Run.objects.get(pk=child.pk).due_at is None
    assert not bring_up(child.pk)
    assert check_items(mapped(run)) == {"ok": 1, "running": 1, "waiting": 1}


def test_an_end_that_no_process_brought_up_is_found_by_a_tick(
    inner: Workflow, ticker: Ticker
) -> None:
    run = begin(outer_of(inner, 2, max_active=1))
    end_child(children_of(run)[0])

    assert ticker.tick()

    assert [item.state for item in items_of(run)] == ["OK", "RUNNING"]


def test_a_process_that_died_before_it_opened_the_next_leaves_that_to_a_tick(
    inner: Workflow, ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(outer_of(inner, 2, max_active=1))
    [child] = children_of(run)
    end_child(child)
    with monkeypatch.context() as patched:
        patched.setattr("parent.runs.items.child_runs.open_child_runs", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring_up(child.pk)
    assert [item.state for item in items_of(run)] == ["OK", "WAITING"]

    assert ticker.tick()

    assert [item.state for item in items_of(run)] == ["OK", "RUNNING"]


def test_a_tick_opens_the_first_runs_if_nobody_did(
    inner: Workflow, ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(ChildRunsOfItems, "open", lambda *_: None)  # the process died
        run = start(outer_of(inner, 2), {})
    assert not children_of(run)

    assert ticker.tick()

    assert len(children_of(run)) == 2


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> Ticker:
    """A ticker, in whose transaction what follows a commit is done at once."""
    monkeypatch.setattr("parent.messages.publish._send", lambda *_, **__: True)
    monkeypatch.setattr("django.db.transaction.on_commit", lambda call, **_: call())
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(leases, "_this", row.pk)
    found = Ticker(row.pk)
    found.tick()
    return found


def test_the_joint_progress_is_that_of_the_runs(inner: Workflow) -> None:
    run = begin(outer_of(inner, 4, max_active=2))
    done, half = children_of(run)
    end_child(done)
    bring_up(done.pk)
    StepRow.objects.filter(run=half, name="first").update(
        state="OK", started_at=Now(), reported_at=Now(), completion=100
    )

    mirror(stale_runs=[half.pk])
    mirror([str(mapped(run).task_id)])

    assert items_of(run)[1].completion == 50
    run.refresh_from_db()
    assert (run.completion, run.message) == (37.5, "each: 1 of 4")


@pytest.mark.parametrize(
    ("over", "says"),
    [
        (lambda _: [{"n": 1}, {"m": 2}], "item 1 does not fit its child: the workflow 'inner' has"),
        (lambda _: [{}], "item 0 does not fit its child: the workflow 'inner' needs the"),
        (lambda _: [{"n": object()}], "item 0 is not JSON"),
        (lambda _: 7, "not a list"),
        (lambda _: 1 / 0, "division by zero"),
    ],
)
def test_items_that_cannot_be_parameters_are_an_error_of_the_step(
    inner: Workflow, over: Callable[..., Any], says: str
) -> None:
    run = run_inline(outer_of(inner, over))

    assert (run.state, mapped(run).state) == (RunState.FAILURE, StepState.ERROR)
    assert (run.error or "").startswith("Error in the items of each: ")
    assert says in (run.error or "")
    assert not Item.objects.exists()


def test_an_item_with_a_value_that_does_not_fit_is_an_error_of_the_item(inner: Workflow) -> None:
    run = run_inline(outer_of(inner, lambda _: [1, -1, 2], tolerate=1))

    assert run.state == RunState.SUCCESS
    bad = items_of(run)[1]
    assert (bad.state, bad.child_run_id) == (StepState.ERROR, None)
    assert (bad.error or "").startswith("Error in the inputs of each[1]: n: Ensure this value")
    assert check_items(mapped(run)) == {"ok": 2, "failed": 1}


def test_a_step_none_of_whose_items_fits_ends(inner: Workflow) -> None:
    run = run_inline(outer_of(inner, lambda _: [-1] * 40))

    assert run.state == RunState.FAILURE
    assert check_items(mapped(run)) == {"failed": 32, "skipped": 8}


def test_runs_too_deep_are_an_error_of_the_step(inner: Workflow, settings: Any) -> None:
    settings.WORKFLOW_NESTING_LIMIT = 1
    middle = Workflow("middle", params=Amount, steps=[Map(inner, name="each", over=lambda _: [1])])

    run = run_inline(outer_of(middle, 1))

    assert run.state == RunState.FAILURE
    assert "WORKFLOW_NESTING_LIMIT" in (run.error or "")
    assert not Run.objects.filter(depth=2).exists()


def test_maps_may_be_inside_of_each_other(inner: Workflow) -> None:
    middle = Workflow("middle", params=Amount, steps=[Map(inner, over=lambda _: [5, 6])])

    run = run_inline(outer_of(middle, 3))

    assert run.state == RunState.SUCCESS
    assert Counter(Run.objects.values_list("depth", flat=True)) == {0: 1, 1: 3, 2: 6}


def test_each_one_that_comes_by_a_signal_is_a_run(inner: Workflow) -> None:
    workflow = outer_of(inner, Signal("amount", params=Amount))
    run = run_inline(workflow)
    run.signal("amount", n=4)
    go_on(run)
    assert [item.result for item in items_of(run)] == [8]
    run.signal("amount", n=5)
    StepRow.objects.filter(run=run, name="amount").update(state="OK", finished_at=Now())

    go_on(run)

    assert run.state == RunState.SUCCESS
    assert [item.result for item in items_of(run)] == [8, 10]


def test_a_retry_goes_on_with_the_runs_that_failed_and_keeps_the_others(inner: Workflow) -> None:
    broken.update({1, 2})
    run = run_inline(outer_of(inner, 5, max_active=1, tolerate=1))
    assert check_items(mapped(run)) == {"ok": 1, "failed": 2, "skipped": 2}
    before = [child.pk for child in children_of(run)]
    broken.clear()
    seen.clear()

    retry(run.pk, who="ada")
    go_on(run)

    assert (run.state, seen) == (RunState.SUCCESS, [1, 2, 3, 4])
    assert [child.pk for child in children_of(run)][:3] == before
    assert [item.attempt for item in items_of(run)] == [1, 2, 2, 1, 1]
    # What was OK inside of a run that failed is kept too.
    firsts = StepRow.objects.filter(name="first").order_by("run__created_at")
    assert {step.attempt for step in firsts} == {1}
    events = Event.objects.filter(run__in=before, what="retry")
    assert [event.who for event in events] == ["ada", "ada"]


def test_one_item_may_be_retried_by_itself(inner: Workflow) -> None:
    broken.update({1, 2})
    run = run_inline(outer_of(inner, 3))
    broken.clear()
    seen.clear()

    retry(run.pk, step="each", item="2")
    go_on(run)

    assert (run.state, seen) == (RunState.FAILURE, [2])
    assert check_items(mapped(run)) == {"ok": 2, "failed": 1}


def test_a_run_that_is_retried_while_old_runs_still_end_waits_for_them(
    inner: Workflow, ticker: Ticker
) -> None:
    run = begin(outer_of(inner, 1))
    [child] = children_of(run)
    StepRow.objects.filter(run=child, name="first").update(state="RUNNING")
    end_run(run.pk, "too late")
    run.refresh_from_db()
    child.refresh_from_db()
    assert (run.state, child.ended) == (RunState.FAILURE, False)

    retry(run.pk)
    [item] = items_of(run)
    assert (item.state, item.child_run_id) == (StepState.WAITING, child.pk)
    StepRow.objects.filter(run=child, name="first").update(state="CANCELLED", finished_at=Now())
    Run.objects.filter(pk=child.pk).update(due_at=Now())
    ticker.tick()

    [item] = items_of(run)
    child.refresh_from_db()
    assert (item.state, item.child_run_id) == (StepState.RUNNING, child.pk)
    assert (child.state, child.cancel_requested_at) == (RunState.STARTED, None)


def test_a_child_run_is_neither_retried_nor_deleted_by_itself(inner: Workflow) -> None:
    broken.add(0)
    run = run_inline(outer_of(inner, 1))
    [child] = children_of(run)

    with pytest.raises(CannotRetry, match=str(run.pk)):
        retry(child.pk)
    with pytest.raises(InsideRun, match=str(run.pk)):
        delete_run(child)


@pytest.mark.parametrize("delete", [delete_run, lambda _: prune_all(timedelta(0))])
def test_deleting_the_run_deletes_the_tree(inner: Workflow, delete: Callable[[Run], Any]) -> None:
    middle = Workflow("middle", params=Amount, steps=[Map(inner, over=lambda _: [5, 6])])
    run = run_inline(outer_of(middle, 3))

    delete(run)

    assert [model.objects.count() for model in (Run, StepRow, Item)] == [0, 0, 0]


def test_a_run_is_not_deleted_while_runs_inside_of_it_still_end(inner: Workflow) -> None:
    run = begin(outer_of(inner, 1))
    StepRow.objects.filter(run=children_of(run)[0], name="first").update(state="RUNNING")
    end_run(run.pk, "too late")
    run.refresh_from_db()

    with pytest.raises(RunActive, match="inside of this one"):
        delete_run(run)
    prune_all(timedelta(0))
    assert Run.objects.count() == 2


@pytest.mark.parametrize("running", [False, True])
def test_a_cancel_goes_down_to_all_runs(inner: Workflow, ticker: Ticker, running: bool) -> None:
    middle = Workflow("middle", params=Amount, steps=[Step(inner)])
    run = begin(outer_of(middle, 5, max_active=3))
    if running:
        StepRow.objects.filter(name="first").update(state="RUNNING")

    name = "ada" * 60
    cancel(run.pk, who=name, grace=None if running else 0)
    ticker.tick()

    runs = Run.objects.all()
    if running:
        assert set(runs.values_list("state", flat=True)).isdisjoint(Run.ENDED)
        assert not runs.filter(cancel_requested_at=None).exists()
        cancel(run.pk, grace=0)
    for _ in range(4):
        ticker.tick()
    assert set(runs.values_list("state", flat=True)) == {RunState.REVOKED}
    assert check_items(mapped(run)) == {"cancelled": 5}
    assert not runs.exclude(due_at=None).exists()
    [who] = set(Event.objects.filter(what="cancel").values_list("who", flat=True))
    assert name.startswith(who.removesuffix("…"))


def test_a_cancel_takes_as_many_statements_for_any_number_of_runs(inner: Workflow) -> None:
    taken = []
    for number in (2, 20):
        run = begin(outer_of(inner, number))
        with CaptureQueriesContext(connection) as queries:
            cancel(run.pk)
        taken.append(len(queries))
        registry._workflows.pop("outer")

    assert taken[0] == taken[1]


def test_the_end_of_the_whole_run_cancels_the_runs_inside(inner: Workflow, ticker: Ticker) -> None:
    run = begin(outer_of(inner, 3, max_active=2))

    assert end_run(run.pk, "too late")
    for _ in range(3):
        ticker.tick()

    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.FAILURE, "too late")
    assert check_items(mapped(run)) == {"failed": 2, "skipped": 1}
    assert {child.state for child in children_of(run)} == {RunState.REVOKED}
    assert not Run.objects.exclude(due_at=None).exists()


def test_a_cancel_of_one_run_alone_fails_its_item(inner: Workflow, ticker: Ticker) -> None:
    run = begin(outer_of(inner, 2, tolerate=1))

    cancel(children_of(run)[0].pk)

    assert [item.state for item in items_of(run)] == ["ERROR", "RUNNING"]
    assert (items_of(run)[0].error or "").startswith("Error in each[0]: ")


def test_the_run_timeout_of_the_step_is_that_of_each_run(inner: Workflow) -> None:
    run = begin(outer_of(inner, 1, run_timeout=60))

    [child] = children_of(run)

    assert child.deadline_at is not None
    assert child.due_at == child.deadline_at


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, ""),
        ({"chunk": 5}, "chunk=5, which belongs to a message"),
        ({"retries": 2}, "Give the retries to the steps of"),
        ({"queue": "slow"}, "queue='slow', which belongs to a child"),
        ({"stall_timeout": 3}, "stall_timeout=3, which belongs to a child"),
        ({"max_active": 0}, "max_active=0"),
    ],
)
def test_mistakes_are_seen_before_a_run(
    inner: Workflow, options: dict[str, Any], says: str
) -> None:
    found = [f"{each.msg} {each.hint}" for each in check_workflow(outer_of(inner, **options))]

    assert bool(found) == bool(says)
    assert says in " ".join(found)


def test_a_signal_whose_values_are_no_parameters_is_seen_before_a_run(inner: Workflow) -> None:
    class Other(serializers.Serializer[Any]):
        m = serializers.IntegerField()

    found = [each.msg for each in check_workflow(outer_of(inner, Signal("amount", params=Other)))]

    assert any("would get the parameter 'm'" in each for each in found)
    assert any("needs 'n'" in each and "not a value of the signal amount" in each for each in found)


def test_a_run_that_waits_for_its_turn_is_an_item_that_runs(inner: Workflow) -> None:
    limited = Workflow("in_turn", params=Amount, steps=[Step(double)], concurrency=Concurrency())

    run = run_inline(outer_of(limited, 3))

    assert run.state == RunState.SUCCESS
    assert [item.result for item in items_of(run)] == [0, 2, 4]


def test_an_attempt_of_an_item_has_the_id_of_no_message(inner: Workflow) -> None:
    [item] = items_of(begin(outer_of(inner, 1)))

    assert (item.state, item.message_id, item.executor_id) == (StepState.RUNNING, None, None)
    assert (item.due_at, item.publish_count) == (None, 0)
    assert item.task_id is not None
    assert isinstance(item.child_run_id, UUID)
