"""The invariants of every run, whatever fault was injected."""

import json
from collections.abc import Collection
from itertools import combinations

from django_celery_results.models import TaskResult

from parent.models import Item, Run, RunState, Step, StepState, When
from tests.flows.faults import MARKS
from tests.flows.tasks import gates
from tests.parent.items import check_items

__all__ = ["assert_sound", "bodies"]

ENDS = (StepState.OK, StepState.ERROR, StepState.SKIPPED, StepState.CANCELLED)


def assert_sound(*runs: Run, outlived: Collection[str | None] = ()) -> None:
    """Assert the invariants of these runs, the only ones there are.

    Args:
        outlived: ids of the attempts whose worker was stopped for longer than its lease. The body
            of such a one may be found active beside the next one's.
    """
    for run in runs:
        run.refresh_from_db()
        assert run.ended, f"{run} has not ended: it is {run.state}"
        steps = list(run.steps.all())
        for step in steps:
            _assert_one_outcome(step)
            _assert_in_order(step, {other.name: other for other in steps})
            if step.is_mapped and step.items is not None:
                _assert_items(step)
        told = f"{run} is {run.state} with {[f'{s}: {s.state}' for s in steps]}, {run.error}"
        good = all(s.state == StepState.OK or s.optional or s.unneeded for s in steps)
        assert (run.state == RunState.SUCCESS) == good, told
        assert (run.error is None) == (run.state == RunState.SUCCESS), told
        stored = TaskResult.objects.get(task_id=str(run.pk)).status
        assert stored == run.state, f"{run} is {run.state}, and its TaskResult says {stored}"
    _assert_never_twice_at_once(outlived)
    ids = [str(run.pk) for run in runs]
    left_over = TaskResult.objects.exclude(task_id__in=ids)
    assert not left_over.exists(), list(left_over.values_list("task_id", "status", "result"))


def _assert_items(step: Step) -> None:
    check_items(step)
    items = list(Item.objects.filter(step=step).select_related("step__run"))
    assert [item.index for item in items] == list(range(step.item_total))
    for item in items:
        _assert_one_outcome(item)


def _assert_one_outcome(step: Step | Item) -> None:
    assert step.state in ENDS, f"{step} has no outcome: it is {step.state}"
    assert step.finished_at is not None, f"{step} is {step.state} and has no time for it"
    assert step.due_at is None, f"{step} is {step.state}, and a tick would still look at it"
    assert (step.error is not None) >= (step.state == StepState.ERROR), f"{step} tells no error"
    assert step.error is None or step.state != StepState.OK, f"{step} is OK with {step.error}"
    earlier = list(step.attempts.filter(item=step if isinstance(step, Item) else None))
    assert [attempt.number for attempt in earlier] == list(range(1, step.attempt))
    for attempt in earlier:
        assert attempt.error, f"{attempt} has ended for no reason"
        assert attempt.queued_at is not None
        assert attempt.finished_at is not None
        assert attempt.queued_at <= attempt.finished_at
    ids = [step.task_id, *(attempt.task_id for attempt in earlier)]
    assert len(set(ids)) == len(ids), f"two attempts of {step} have one id"


def _assert_in_order(step: Step, others: dict[str, Step]) -> None:
    if step.started_at is None:
        return
    for name in step.after:
        ended, other = others[name].finished_at, others[name]
        good = other.state == StepState.OK or (other.state == StepState.ERROR and other.optional)
        assert good or step.when != When.OK, f"{step} began, and {name} is not a success"
        assert other.state in ENDS, f"{step} began, and {name} is {other.state}"
        assert ended is not None
        assert ended <= step.started_at, f"{step} began before {name} had ended"


def bodies() -> dict[tuple[str, str], dict[str, range]]:
    """By run and step the bodies that began, by attempt: from the first of its marks to its last.

    Marks stand in one list, whose order is that of time.
    """
    found: dict[tuple[str, str], dict[str, range]] = {}
    for place, line in enumerate(gates().lrange(MARKS, 0, -1)):
        run, step, attempt, what = json.loads(line)
        of_step = found.setdefault((run, step), {})
        if what == "begins":
            assert attempt not in of_step, f"the body of {attempt} began twice"
        begun = of_step[attempt].start if attempt in of_step else place
        of_step[attempt] = range(begun, place + 1)
    return found


def _assert_never_twice_at_once(outlived: Collection[str | None]) -> None:
    for (run, step), of_step in bodies().items():
        counted = [(attempt, at) for attempt, at in of_step.items() if attempt not in outlived]
        for (one, first), (other, second) in combinations(counted, 2):
            apart = first.stop <= second.start or second.stop <= first.start
            assert apart, f"{step} of {run}: {one} was active beside {other}"
