"""`progress.run` in real workers: in each kind of child, in a transaction, and after a cancel."""

import pytest

from parent.models import ReceivedSignal, RunState
from parent.runs.cancel import cancel
from tests.faults.conftest import StartWorker
from tests.flows import context
from tests.system.conftest import Gate
from tests.waiting import ended


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_each_kind_of_child_has_its_run(start_worker: StartWorker, pool: str) -> None:
    start_worker(pool)

    run = ended(context.asking.start(number=3))

    assert run.error is None
    both = {"noted": {"text": "async"}, "seen": {"text": "once"}}
    steps = {"ask_async": 1, "fail_once": 2, "each[0]": 1, "each[1]": 1, "last": 1}
    results = run.result
    told = [results["ask_async"], results["fail_once"], *results["each"], results["last"]]
    assert {step: attempt for _, _, step, attempt, _, _ in told} == steps
    assert {pk for pk, *_ in told} == {str(run.pk)}
    assert all(params == {"number": 3} for *_, params, _ in told)
    assert [signals for *_, signals in told[1:]] == [both] * 4
    nested = run.steps.get(name="nested")
    assert nested.result[0] == str(nested.child_run_id)
    assert nested.result[4:] == [{"number": 4}, {}]


def test_a_signal_in_a_transaction_is_refused_and_taken_after_it(
    start_worker: StartWorker,
) -> None:
    start_worker()

    run = ended(context.transacted.start())

    assert "seen was given inside a transaction" in run.result
    assert ReceivedSignal.objects.get(run=run).values == {"text": "after it"}


def test_an_attempt_that_was_cancelled_gives_nothing(start_worker: StartWorker, gate: Gate) -> None:
    start_worker()
    run = context.late.start(gate=gate.name)
    gate.reached()
    cancel(run.pk)

    gate.open()

    assert ended(run).state == RunState.REVOKED
    assert not ReceivedSignal.objects.exists()
