"""A workflow as a step: its run inside of the run."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from rest_framework import serializers

from children import Progress, child_task
from parent import Step, Workflow
from parent.checks import check_workflow
from parent.definition.validation.nesting import circle_of
from parent.definition.workflow import registry
from parent.deletion.delete import delete_run
from parent.deletion.prune import prune_all
from parent.errors import CannotRetry, InsideRun, InvalidWorkflow
from parent.inline import continue_inline, run_inline
from parent.management.snapshot import snapshots
from parent.messages.publish import publishing_off
from parent.models import Event, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.endings import bring_up, end_run
from parent.runs.start import start, start_many
from parent.runs.user_retry.retry import retry
from parent.watch.mirror import mirror
from tests.flows import tasks

pytestmark = pytest.mark.django_db

seen: list[Any] = []
broken: set[Any] = set()


class Amount(serializers.Serializer[Any]):
    n = serializers.IntegerField(min_value=0)


@child_task(name="nested.double")
def double(progress: Progress, n: int) -> int:
    """Return twice the number; fail while it is broken."""
    seen.append(n)
    if n in broken:
        raise ValueError(f"{n} is broken")
    return 2 * n


@child_task(name="nested.note")
def note(progress: Progress, value: Any) -> Any:
    seen.append(value)
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
    return Workflow("inner", params=Amount, steps=[Step(double)])


def outer_of(inner: Workflow, *after: Step, **options: Any) -> Workflow:
    return Workflow("outer", params=Amount, steps=[Step(inner, **options), *after])


def child_of(run: Run, name: str = "inner") -> Run:
    step = StepRow.objects.get(run=run, name=name)
    return Run.objects.get(pk=str(step.child_run_id))


def test_a_snapshot_has_the_steps_of_the_runs_inside_at_any_depth(inner: Workflow) -> None:
    between = Workflow("between", params=Amount, steps=[Step(inner)])
    with publishing_off():
        run = Workflow("top", params=Amount, steps=[Step(between), Step(tasks.noop)]).start(n=1)

    snapshot = next(snapshots(run.pk))

    child = child_of(run, "between")
    names = {key: [step.name for step in steps] for key, steps in snapshot.inner.items()}
    assert names == {child.pk: ["inner"], child_of(child).pk: ["double"]}


def row(run: Run, name: str = "inner") -> StepRow:
    return StepRow.objects.get(run=run, name=name)


def test_the_run_of_the_inner_workflow_gives_the_step_its_result(inner: Workflow) -> None:
    after = Step(note, inputs=lambda run: {"value": run.results["inner"]})

    run = run_inline(outer_of(inner, after), n=4)

    child = child_of(run)
    assert (run.state, run.result, seen) == (RunState.SUCCESS, 8, [4, 8])
    assert (child.state, child.result, child.params) == (RunState.SUCCESS, 8, {"n": 4})
    assert (child.parent_run_id, child.depth, child.due_at) == (run.pk, 1, None)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_runs_may_be_inside_of_each_other(inner: Workflow, levels: int) -> None:
    workflow = inner
    for level in range(levels):
        workflow = Workflow(f"level-{level}", params=Amount, steps=[Step(workflow)])

    run = run_inline(workflow, n=1)

    assert (run.state, run.result) == (RunState.SUCCESS, 2)
    assert sorted(Run.objects.values_list("depth", flat=True)) == [*range(levels + 1)]


def test_a_run_too_deep_is_an_error_of_the_step(inner: Workflow, settings: Any) -> None:
    settings.WORKFLOW_NESTING_LIMIT = 1
    middle = Workflow("middle", params=Amount, steps=[Step(inner)])

    run = run_inline(outer_of(middle), n=1)

    assert run.state == RunState.FAILURE
    assert "WORKFLOW_NESTING_LIMIT" in (run.error or "")
    assert Run.objects.count() == 2


def test_a_workflow_inside_of_itself_ends(settings: Any) -> None:
    settings.WORKFLOW_NESTING_LIMIT = 3
    Workflow("outer", params=Amount, steps=[Step("parent.outer")])

    run = run_inline(registry.get("outer"), n=1)

    assert run.state == RunState.FAILURE
    assert Run.objects.count() == 4


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (lambda _: {"n": -1}, "n: Ensure this value is greater"),
        (lambda _: {"n": 1, "m": 2}, "m: This workflow has no such parameter"),
        (lambda _: {}, "n: This field is required"),
        (lambda _: {"n": object()}, "JSON"),
        (lambda _: 1 / 0, "division by zero"),
    ],
)
def test_parameters_that_do_not_fit_are_an_error_of_the_step(
    inner: Workflow, inputs: Callable[..., Any], says: str
) -> None:
    run = run_inline(outer_of(inner, inputs=inputs), n=1)

    assert (run.state, row(run).state) == (RunState.FAILURE, StepState.ERROR)
    assert (run.error or "").startswith("Error in the inputs of inner: ")
    assert says in (run.error or "")
    assert Run.objects.count() == 1


def test_a_later_step_opens_as_a_run_too(inner: Workflow) -> None:
    workflow = Workflow(
        "outer",
        params=Amount,
        steps=[Step(double), Step(inner, inputs=lambda run: {"n": run.results["double"]})],
    )

    assert run_inline(workflow, n=3).result == 12


def test_an_error_comes_up_with_the_names_of_both_steps(inner: Workflow) -> None:
    broken.add(4)

    run = run_inline(outer_of(inner, Step(tasks.noop)), n=4)

    assert (run.state, run.error) == (RunState.FAILURE, "Error in inner: double: 4 is broken")
    assert child_of(run).error == "Error in double: 4 is broken"


def test_an_optional_step_may_be_a_run_that_fails(inner: Workflow) -> None:
    broken.add(4)
    after = Step(note, inputs=lambda run: {"value": run.errors["inner"]})

    run = run_inline(outer_of(inner, after, optional=True), n=4)

    assert run.state == RunState.SUCCESS
    assert run.result == "Error in inner: double: 4 is broken"


def test_many_runs_start_together_with_those_inside(inner: Workflow) -> None:
    runs = start_many(outer_of(inner), [{"n": n} for n in range(3)])

    assert [child_of(run).params for run in runs] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert Run.objects.count() == 6
    assert not any(run.is_child for run in runs)


def test_the_step_runs_without_a_message(inner: Workflow) -> None:
    step = row(start(outer_of(inner), {"n": 1}))

    assert (step.state, step.executor_id, step.message_id) == (StepState.RUNNING, None, None)
    assert (step.due_at, step.publish_count) == (None, 0)
    assert step.task_id is not None


def test_the_progress_comes_up_level_by_level(inner: Workflow) -> None:
    middle = Workflow("middle", params=Amount, steps=[Step(inner), Step(tasks.noop)])
    top = start(outer_of(middle), {"n": 1})
    mid = child_of(top, "middle")
    low = child_of(mid)
    StepRow.objects.filter(run=low).update(
        state="RUNNING", completion=50, message="half", reported_at=low.created_at
    )

    mirror(stale_runs=[low.pk])
    for run in (mid, top):
        step = StepRow.objects.get(run=run, unmirrored_since__isnull=False)
        mirror([str(step.task_id)])

    top.refresh_from_db()
    assert (top.state, top.completion) == (RunState.PROGRESS, 25)
    assert top.message == "middle: inner: double: half"


def test_a_retry_goes_on_with_the_run_that_failed(inner: Workflow) -> None:
    two = Workflow(
        "two", params=Amount, steps=[Step(note, inputs=lambda _: {"value": "first"}), Step(double)]
    )
    workflow = outer_of(two)
    broken.add(4)
    run = run_inline(workflow, n=4)
    child = child_of(run, "two")
    broken.clear()
    seen.clear()

    retry(run.pk, who="ada")
    go_on(run)

    run.refresh_from_db()
    assert (run.state, run.result, seen) == (RunState.SUCCESS, 8, [4])
    assert child_of(run, "two").pk == child.pk
    assert row(run, "two").attempt == 2
    assert [event.who for event in Event.objects.filter(run=child, what="retry")] == ["ada"]


def go_on(run: Run) -> None:
    """Run what is queued, as `run_inline` does."""
    run.refresh_from_db()
    with publishing_off():
        continue_inline(run)


def test_new_inputs_begin_a_new_run(inner: Workflow) -> None:
    broken.add(4)
    run = run_inline(outer_of(inner), n=4)
    old = child_of(run)

    retry(run.pk, step="inner", inputs={"n": 5})
    go_on(run)

    run.refresh_from_db()
    assert (run.state, run.result) == (RunState.SUCCESS, 10)
    assert child_of(run).pk != old.pk
    assert Run.objects.filter(pk=old.pk, parent_run=run).exists()


def test_a_step_that_comes_after_one_that_runs_again_gets_a_new_run(inner: Workflow) -> None:
    broken.add(8)
    workflow = Workflow(
        "outer",
        params=Amount,
        steps=[Step(double), Step(inner, inputs=lambda run: {"n": run.results["double"]})],
    )
    run = run_inline(workflow, n=4)
    old = child_of(run)
    broken.clear()

    retry(run.pk, step="double")
    go_on(run)

    assert child_of(run).pk != old.pk
    run.refresh_from_db()
    assert run.result == 16


def test_a_child_run_is_retried_with_the_run_around_it(inner: Workflow) -> None:
    broken.add(4)
    run = run_inline(outer_of(inner), n=4)

    with pytest.raises(CannotRetry, match=str(run.pk)):
        retry(child_of(run).pk)


def test_a_step_may_be_skipped_whose_run_failed(inner: Workflow) -> None:
    broken.add(4)
    run = run_inline(outer_of(inner), n=4)

    retry(run.pk, step="inner", skip=True, result=7)

    run.refresh_from_db()
    assert (run.state, run.result) == (RunState.SUCCESS, 7)


@pytest.mark.parametrize("running", [False, True])
def test_a_cancel_goes_down(inner: Workflow, running: bool) -> None:
    middle = Workflow("middle", params=Amount, steps=[Step(inner)])
    run = start(outer_of(middle), {"n": 1})
    low = child_of(child_of(run, "middle"))
    if running:
        StepRow.objects.filter(run=low).update(state="RUNNING")

    cancel(run.pk, who="ada")

    runs = Run.objects.all()
    if running:
        assert set(runs.values_list("state", flat=True)).isdisjoint(Run.ENDED)
        assert not runs.filter(cancel_requested_at=None).exists()
        return
    assert set(runs.values_list("state", flat=True)) == {RunState.REVOKED}
    assert set(StepRow.objects.values_list("state", flat=True)) == {StepState.CANCELLED}
    assert not runs.exclude(due_at=None).exists()


def test_a_cancel_of_the_child_run_alone_fails_the_step(inner: Workflow) -> None:
    run = start(outer_of(inner), {"n": 1})
    child = child_of(run)

    cancel(child.pk)
    assert bring_up(child.pk)

    run.refresh_from_db()
    assert (run.state, row(run).state) == (RunState.FAILURE, StepState.ERROR)
    assert run.error == "Error in inner: double was cancelled"


def test_the_end_of_the_run_ends_those_inside(inner: Workflow) -> None:
    middle = Workflow("middle", params=Amount, steps=[Step(inner), Step(tasks.noop)])
    run = start(outer_of(middle), {"n": 1})

    assert end_run(run.pk, "too late")

    assert set(Run.objects.values_list("state", "error")) == {(RunState.FAILURE, "too late")}
    assert not Run.objects.exclude(due_at=None).exists()
    assert not StepRow.objects.filter(state__in=StepRow.ACTIVE).exists()


def test_the_timeout_of_the_step_is_the_deadline_of_its_run(inner: Workflow) -> None:
    run = start(outer_of(inner, run_timeout=60), {"n": 1})

    child = child_of(run)
    assert child.deadline_at is not None
    assert (child.deadline_at - child.created_at).total_seconds() == 60
    assert (child.due_at, run.deadline_at) == (child.deadline_at, None)


def test_an_end_comes_up_once(inner: Workflow) -> None:
    run = start(outer_of(inner), {"n": 1})
    child = child_of(run)

    assert not bring_up(child.pk)  # it has not ended
    end_run(child.pk, "too late")
    assert bring_up(child.pk)
    assert not bring_up(child.pk)
    assert not bring_up(run.pk)  # it is inside of none

    run.refresh_from_db()
    assert run.error == "Error in inner: too late"


def test_the_tree_is_deleted_as_a_whole(inner: Workflow) -> None:
    middle = Workflow("middle", params=Amount, steps=[Step(inner)])
    run, other = run_inline(outer_of(middle), n=1), run_inline(inner, n=1)

    with pytest.raises(InsideRun, match=str(run.pk)):
        delete_run(child_of(child_of(run, "middle")))
    delete_run(run)

    assert [*Run.objects.values_list("pk", flat=True)] == [other.pk]


def test_retention_takes_runs_with_those_inside(inner: Workflow) -> None:
    run_inline(outer_of(inner), n=1)
    start(outer_of(inner), {"n": 1})

    assert prune_all(timedelta(0)) == 1
    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queue": "slow"}, "queue='slow'"),
        ({"priority": 3}, "priority=3"),
        ({"queue_timeout": 5.0}, "queue_timeout=5.0"),
        ({"stall_timeout": 5.0}, "stall_timeout=5.0"),
        ({"poll_interval": 1.0}, "poll_interval=1.0"),
        ({"retries": 2}, "retries=2"),
    ],
)
def test_options_of_a_child_are_refused(
    inner: Workflow, options: dict[str, Any], says: str
) -> None:
    workflow = outer_of(inner, **options)

    with pytest.raises(InvalidWorkflow, match=says):
        start(workflow, {"n": 1})
    assert [message.id for message in check_workflow(workflow)] == ["workflows.E003"]


def test_the_checks_find_a_circle_of_workflows(inner: Workflow) -> None:
    one = Workflow("one", params=Amount, steps=[Step("parent.two")])
    two = Workflow("two", params=Amount, steps=[Step(one)])
    above = Workflow("above", params=Amount, steps=[Step(two)])

    found = {w.name: [m.id for m in check_workflow(w)] for w in (one, two, above, inner)}

    assert found == {"one": ["workflows.E020"], "two": ["workflows.E020"], "above": [], "inner": []}


def test_for_a_circle_the_checks_read_only_what_is_inside(
    inner: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all workflows for each of them, at the start of every worker and command."""
    Workflow("beside", params=Amount, steps=[Step(double)])
    outer, read, nested = outer_of(inner), list[Step](), Step.nested

    def counted(step: Step) -> str:
        read.append(step)
        return str(nested.__get__(step))

    monkeypatch.setattr(Step, "nested", property(counted))

    assert circle_of(outer, registry.workflows()) == ""
    assert read == [*outer.steps, *inner.steps]


class Others(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    m = serializers.IntegerField()


class MayLack(serializers.Serializer[Any]):
    n = serializers.IntegerField(required=False)


class WithFile(serializers.Serializer[Any]):
    file = serializers.FileField()


@pytest.mark.parametrize(
    ("outer", "inside", "says"),
    [
        (Others, Amount, "would get the parameter 'm'"),
        (None, Amount, "needs 'n'"),
        (MayLack, Amount, "may be left out"),
        (WithFile, WithFile, "files are not passed on"),
    ],
)
def test_the_checks_compare_the_parameters(outer: Any, inside: Any, says: str) -> None:
    within = Workflow("inner", params=inside, steps=[Step(tasks.noop, inputs=lambda _: {})])
    workflow = Workflow("outer", params=outer, steps=[Step(within)])

    [found] = check_workflow(workflow)

    assert found.id == "workflows.E011"
    assert says in found.msg
