"""However a body ends, its error is a sentence, and the next child in its process is as before."""

from typing import Any

import pytest
from django.db import connection

from parent.models import Item, Run, StepState
from tests.faults.conftest import StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import odd_ends
from tests.waiting import ended

pytestmark = pytest.mark.timeout(300)

POOLS = ["prefork", "threads", *(["solo"] if connection.vendor != "sqlite" else [])]
ENDS = [("raises", what, error) for what, (_, error) in odd_ends.RAISED.items()]
ENDS += [("returns", what, error) for what, (_, error) in odd_ends.RETURNED.items()]


def items(run: Run) -> tuple[Item, Item, Item]:
    first, odd, last = Item.objects.filter(step__run=ended(run)).order_by("index")
    return first, odd, last


@pytest.mark.parametrize("pool", POOLS)
def test_the_error_is_a_sentence_and_the_next_finds_all_as_it_was(
    start_worker: StartWorker, pool: str
) -> None:
    start_worker(pool)
    wrong, runs = {}, []

    for how, what, error in ENDS:
        runs.append(run := odd_ends.odd.start(how=how, what=what))
        first, odd, last = items(run)
        told = (odd.state, odd.iteration, odd.message)
        if told != (StepState.ERROR, 1, "its last report"):
            wrong[how, what] = f"{told}, {odd.error}"
        elif not str(odd.error).startswith(f"Error in {odd.name}: {error}"):
            wrong[how, what] = str(odd.error)
        elif (last.state, last.result) != (StepState.OK, first.result):
            wrong[how, what] = f"the next is {last.state} with {last.result}, {last.error}"

    assert wrong == {}
    assert_sound(*runs)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_coroutine_ends_as_any_body(start_worker: StartWorker, pool: str) -> None:
    start_worker(pool)
    wrong: dict[Any, Any] = {}

    for how, what, error in ENDS:
        if what == "stop iteration":
            continue  # no coroutine raises it
        _, odd, last = items(odd_ends.odd_async.start(how=how, what=what))
        if error not in (odd.error or "") or odd.message != "its last report":
            wrong[how, what] = (odd.message, odd.error)
        if last.state != StepState.OK:
            wrong[how, what] = last.error

    assert wrong == {}


def test_the_items_after_one_whose_process_dies_run_in_another(start_worker: StartWorker) -> None:
    start_worker("prefork")
    runs = []

    for what in odd_ends.DIES:
        runs.append(run := odd_ends.odd.start(how="dies", what=what))
        first, odd, last = items(run)
        assert (odd.state, last.state) == (StepState.ERROR, StepState.OK)
        assert "the worker process died while running it" in str(odd.error)
        assert isinstance(first.result, dict)
        assert isinstance(last.result, dict)
        assert first.result.pop("process") != last.result.pop("process")
        assert first.result == last.result

    assert_sound(*runs)
