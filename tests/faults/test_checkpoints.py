"""A child whose process dies again and again goes on where it was."""

import json
import random
import re

import pytest

from parent import Workflow
from parent.models import Run, RunState
from tests.faults.conftest import StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import faults
from tests.flows.tasks import gates
from tests.waiting import ended
from tests.workers import Worker

ITEMS = 200


def said(run: Run, name: str, pattern: str) -> list[list[int]]:
    """The numbers in the marks of a step's or item's bodies, for each attempt in order."""
    found: dict[str, list[int]] = {}
    for mark in gates().lrange(faults.MARKS, 0, -1):
        of_run, of_step, task_id, what = json.loads(mark)
        mine = (of_run, of_step) == (str(run.pk), name)
        numbers = found.setdefault(task_id, []) if mine else []
        if match := re.fullmatch(pattern, what):
            numbers.append(int(match[1]))
    return list(found.values())


@pytest.mark.parametrize(
    ("workflow", "name"), [(faults.counting_on, "count_on"), (faults.counting_on_items, "each[1]")]
)
def test_a_child_killed_five_times_counts_to_the_end_and_repeats_nothing_it_reported(
    watcher: Worker, start_worker: StartWorker, workflow: Workflow, name: str
) -> None:
    start_worker("prefork")
    deaths = sorted(random.sample(range(1, ITEMS), 5))

    run = ended(workflow.start(items=ITEMS, deaths=deaths))

    assert run.state == RunState.SUCCESS, run.error
    done, reported = said(run, name, r"does (\d+)"), said(run, name, r"reported (\d+)")
    assert len(done) == 6
    assert [items[-1] for items in done] == [*deaths, ITEMS - 1]
    begins = [items[0] for items in done]
    assert begins[0] == 0
    # Its last report may have been stored between its look at the row and its death.
    for death, (seen,), begin in zip(deaths, reported[:-1], begins[1:], strict=True):
        assert seen <= begin <= death
    assert sum(begins) > 0
    assert {item for items in done for item in items} == set(range(ITEMS))
    assert_sound(run)
