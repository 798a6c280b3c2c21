"""The last report of a body that then says nothing is seen within a moment."""

from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet

from parent.models import Item, RunState, Step
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.flows import quiet
from tests.waiting import ended, until

WITHIN = 5.0
"""Seconds, on a busy machine. A body says nothing for longer."""

IN_A_THREAD_OF_ITS_OWN = {"says_it_in_a_fork", "asks_in_a_transaction"}
"""What an event loop, or a process of threads, allows nobody."""


def bodies(kind: str, pool: str) -> list[str]:
    names = set(quiet.BODIES)
    if kind == "quiet_async":  # the ORM is for `sync_to_async`
        names = {name for name in names if "transaction" not in name}
    if kind == "quiet_async" or pool != "prefork":
        names -= IN_A_THREAD_OF_ITS_OWN
    return sorted(names)


def said(rows: "QuerySet[Any]") -> Any:
    return rows.values_list("iteration", "message").get()


def is_seen(rows: "QuerySet[Any]", name: str) -> bool:
    return bool(said(rows) == quiet.LAST[name])


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("kind", ["quiet", "quiet_item", "quiet_async"])
def test_the_last_report_is_seen_while_the_body_goes_on(
    start_worker: StartWorker, gate: Gate, kind: str, pool: str
) -> None:
    start_worker(pool)
    wrong, runs = {}, []

    for name in bodies(kind, pool):
        runs.append(run := getattr(quiet, kind).start(body=name))
        gate.reached()
        rows: QuerySet[Any] = Step.objects.filter(run=run)
        if kind == "quiet_item":
            rows = Item.objects.filter(step__run=run)
        try:
            until("it", partial(is_seen, rows, name), WITHIN)
        except AssertionError:
            wrong[name] = said(rows)
        gate.open()
        assert ended(run).state == RunState.SUCCESS, run.error

    assert wrong == {}
    assert_sound(*runs)
