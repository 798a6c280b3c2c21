"""Workers die, runs are cancelled and retried, while the work is in runs inside of a run."""

import pytest

from parent.models import Run, RunState, Step, StepState
from parent.runs.cancel import cancel
from parent.runs.nested.tree import inner_runs
from parent.runs.user_retry.retry import retry
from tests.faults.conftest import Gate, StartWorker
from tests.flows.workflows import gate_far_inside, lost_far_inside
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

POOLS = ("prefork", "threads")


def tree(run: Run) -> list[Run]:
    """The run and those inside of it, from the outermost to the innermost."""
    ids = [run.pk, *inner_runs([run.pk])]
    return list(Run.objects.filter(pk__in=ids).order_by("depth"))


def assert_all_ended(run: Run, state: RunState, *, depths: int = 3) -> None:
    """Each run has this state, and nothing is left to do in any of them."""
    runs = tree(run)
    assert [(each.depth, each.state) for each in runs] == [(n, state) for n in range(depths)]
    assert not any(each.due_at for each in runs)
    assert not Step.objects.filter(run__in=runs, state__in=Step.ACTIVE).exists()


@pytest.mark.parametrize("pool", POOLS)
def test_one_slot_finishes_runs_inside_of_a_run(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    start_worker(pool)
    run = gate_far_inside.start(gate=gate.name)
    gate.reached()
    until(
        "the report of the innermost child at the outermost run",
        lambda: Run.objects.filter(
            pk=run.pk, completion__gt=0, message__contains="the gate"
        ).exists(),
    )
    gate.open()

    assert ended(run).state == RunState.SUCCESS, run.error
    assert_all_ended(run, RunState.SUCCESS)
    assert step(run, "gate_inside").attempt == 1


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_costs_the_innermost_attempt_only(
    watcher: Worker, start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    doomed = start_worker(pool)
    run = lost_far_inside.start(gate=gate.name)
    gate.reached()

    doomed.kill()
    start_worker()
    gate.reached()
    gate.open()

    assert ended(run).state == RunState.SUCCESS, run.error
    assert_all_ended(run, RunState.SUCCESS)
    attempts = dict(Step.objects.exclude(name="behind").values_list("name", "attempt"))
    assert attempts == {"lost_inside": 1, "gate_once_more": 1, "gated": 2}


@pytest.mark.parametrize("pool", POOLS)
def test_a_cancel_of_the_root_ends_the_child_at_the_bottom(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    start_worker(pool, WORKFLOW_CANCEL_GRACE="1")
    run = gate_far_inside.start(gate=gate.name)
    gate.reached()

    cancel(run.pk)
    gate.open()

    assert ended(run).state == RunState.REVOKED
    assert_all_ended(run, RunState.REVOKED)
    assert step(run, "behind").state == StepState.CANCELLED


def test_a_retry_of_the_root_goes_on_at_the_bottom(
    watcher: Worker, start_worker: StartWorker, gate: Gate
) -> None:
    doomed = start_worker()
    run = gate_far_inside.start(gate=gate.name)
    gate.reached()
    doomed.kill()
    assert ended(run).state == RunState.FAILURE
    assert_all_ended(run, RunState.FAILURE)
    assert "died while running it" in (run.error or "")
    before = [each.pk for each in tree(run)]

    retry(run.pk)
    start_worker()
    gate.reached()
    gate.open()

    assert ended(run).state == RunState.SUCCESS, run.error
    assert_all_ended(run, RunState.SUCCESS)
    assert [each.pk for each in tree(run)] == before
    # What was OK did not run again.
    assert Step.objects.get(name="before").attempt == 1
    assert Step.objects.get(name="gated").attempt == 2
