"""A child whose process dies again and again goes on where it was."""

import json
import random
import re

import pytest

from parent.models import Run, RunState
from tests.faults.conftest import StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import faults
from tests.flows.tasks import gates
from tests.system.conftest import step
from tests.waiting import ended
from tests.workers import Worker

pytestmark = pytest.mark.timeout(120)

ITEMS = 200


def said(run: Run, pattern: str) -> list[list[int]]:
    """The numbers in the marks of the run's bodies, for each attempt in order."""
    found: dict[str, list[int]] = {}
    for mark in gates().lrange(faults.MARKS, 0, -1):
        of_run, _, task_id, what = json.loads(mark)
        numbers = found.setdefault(task_id, []) if of_run == str(run.pk) else []
        if match := re.fullmatch(pattern, what):
            numbers.append(int(match[1]))
    return list(found.values())


def test_a_child_killed_five_times_counts_to_the_end_and_repeats_nothing_it_reported(
    watcher: Worker, start_worker: StartWorker
) -> None:
    start_worker("prefork")
    deaths = sorted(random.sample(range(1, ITEMS), 5))

    run = ended(faults.counting_on.start(items=ITEMS, deaths=deaths))

    assert run.state == RunState.SUCCESS, run.error
    assert step(run, "count_on").attempt == 6
    done, reported = said(run, r"does (\d+)"), said(run, r"reported (\d+)")
    assert [items[-1] for items in done] == [*deaths, ITEMS - 1]
    begins = [items[0] for items in done]
    assert begins == [0, *(numbers[0] for numbers in reported[:-1])]
    assert sum(begins) > 0
    assert {item for items in done for item in items} == set(range(ITEMS))
    assert_sound(run)
