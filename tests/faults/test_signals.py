"""Signals come before, while and after workers run what waits for them; processes die meanwhile."""

from functools import partial

import pytest

from parent.messages.publish import publishing_off
from parent.models import Item, ReceivedSignal, Run, RunState, StepState
from parent.runs.signals.give import close, give
from tests.faults.conftest import Gate, StartWorker, gate
from tests.flows.workflows import fed, signalled
from tests.system.conftest import step
from tests.waiting import ended, until
from tests.workers import Worker

__all__ = ["gate"]


def is_waited_for(run: Run) -> bool:
    return step(run, "numbers").state == StepState.RUNNING


def test_one_that_comes_before_any_worker_runs_counts(start_worker: StartWorker) -> None:
    run = signalled.start()
    run.signal("numbers", a=2)

    start_worker()

    assert ended(run).state == RunState.SUCCESS
    assert run.result == 3


def test_one_that_comes_while_the_run_waits_counts(start_worker: StartWorker) -> None:
    start_worker("threads")
    run = signalled.start()
    until("the signal is waited for", partial(is_waited_for, run))

    run.signal("numbers", a=2)

    assert ended(run).state == RunState.SUCCESS
    assert run.result == 3
    assert give(run.pk, "numbers", {"a": 2}).values == {"a": 2}


def test_one_whose_process_dies_between_commit_and_answer_counts_once(
    start_worker: StartWorker,
) -> None:
    start_worker()
    run = signalled.start()
    until("the signal is waited for", partial(is_waited_for, run))

    with publishing_off():  # such a process sends no message any more
        give(run.pk, "numbers", {"a": 2})
    again = give(run.pk, "numbers", {"a": 2})

    assert ended(run).state == RunState.SUCCESS
    assert run.result == 3
    assert ReceivedSignal.objects.get(run=run).pk == again.pk
    assert step(run, "merge").attempt == 1


def test_a_run_that_waits_holds_no_slot_of_a_worker_that_is_killed(
    watcher: Worker, start_worker: StartWorker
) -> None:
    doomed = start_worker()
    waiting, other = signalled.start(), signalled.start()
    for run in (waiting, other):
        until("the signal is waited for", partial(is_waited_for, run))

    doomed.kill()
    waiting.signal("numbers", a=2)
    start_worker()

    assert ended(waiting).result == 3
    assert step(other, "numbers").state == StepState.RUNNING
    other.signal("numbers", a=4)
    assert ended(other).result == 5


@pytest.mark.parametrize("dies", [False, True])
def test_each_item_is_done_once_whoever_dies(
    watcher: Worker, start_worker: StartWorker, gate: Gate, dies: bool
) -> None:
    """One process dies before it sends the message of an item, another one while it runs one."""
    worker = start_worker()
    run = fed.start()
    with publishing_off():
        give(run.pk, "page", {"gate": gate.name}, key="a")
    gate.reached()
    if dies:
        worker.kill()
        start_worker()
        gate.reached()
    gate.open()
    give(run.pk, "page", {"gate": gate.name}, key="a")
    give(run.pk, "page", {"gate": "other"}, key="b")
    Gate("other").open()

    close(run.pk, "page")

    assert ended(run).state == RunState.SUCCESS
    items = Item.objects.filter(step__run=run).order_by("index")
    assert list(items.values_list("key", "state", "attempt")) == [
        ("a", "OK", 2 if dies else 1),
        ("b", "OK", 1),
    ]
