"""Whatever a body does to its process, its run ends and the next run is not affected."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from parent.models import Run, RunState, Step
from parent.runs.cancel import cancel
from tests.faults.conftest import Gate, StartWorker
from tests.flows import hostile, workflows
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)

ENDS_WITHIN = 25.0
"""Seconds, on a busy machine. SQLite tries for 10 s to use files that were closed under it, and the
pool looks every 5 s whether one of its processes has died.
"""

SPOIL_THEIR_PROCESS = {
    "closes_all_it_can",
    "closes_its_file_descriptors",
    "keeps_sqlite_for_itself",
}
"""The end of a whole worker, where that is one process."""

LIMITED = {"has_a_limit_in_a_query", "has_a_limit_in_a_transaction"}
"""Celery has time limits on its prefork pool only."""


TELLS = {
    "leaves_autocommit_off": "it returned in the middle of a transaction on the database 'default'",
    "leaves_atomic": "commit it, or use transaction.atomic() as a context manager",
    "leaves_an_event_loop_running": "it returned in the middle of a transaction",
    "begins_by_sql": "it returned in the middle of a transaction",
    "leaves_autocommit_off_and_fails": "and fails",
    "raises_attempt_lost": "AttemptLost",
    "raises_ignore": "Ignore",
    "runs_out_of_memory": "MemoryError",
    "recurses_without_end": "recursion",
    "has_a_limit_in_a_query": "SoftTimeLimitExceeded",
    "has_a_limit_in_a_transaction": "SoftTimeLimitExceeded",
    "closes_all_connections": None,
    "saves_what_it_iterates": None,
    "reports_in_a_transaction": None,
    "locks_its_own_run": None,
    "forks_and_reports": None,
    "forks_and_returns_twice": None,
    "forks_and_queries": None,
    "has_threads_that_report": None,
    "changes_its_surroundings": None,
    "replaces_what_python_has": None,
    "leaves_a_watchdog": None,
    "leaves_filters_that_raise": None,
    "keeps_the_locks_of_the_logs": None,
    "returns_what_exits_later": None,
    "keeps_a_cursor_open": None,
    "is_foreign_and_changes_things": None,
}
"""The expected errors of some bodies; None is success."""


def look(run: Run) -> str | None:
    run.refresh_from_db()
    return run.state if run.ended else None


# How a body is isolated depends on the pool: its own process, a thread among others, the worker's
# main thread. SQLite's own locks show on the first two of them.
POOLS = ["prefork", "threads", *(["solo"] if connection.vendor != "sqlite" else [])]


@pytest.mark.parametrize("pool", POOLS)
def test_after_any_body_the_run_ends_and_the_next_is_well(
    start_worker: StartWorker, pool: str
) -> None:
    start_worker(pool)
    first = hostile.probed.start()
    until("the first run", lambda: look(first), 60)
    assert first.state == RunState.SUCCESS, first.error
    as_it_was = probe(first)

    wrong = {}
    for name, start in hostile.starts.items():
        if pool != "prefork" and name in SPOIL_THEIR_PROCESS | LIMITED:
            continue
        if found := trial(start, as_it_was, TELLS.get(name, "")):
            wrong[name] = found

    assert wrong == {}


def trial(start: Callable[[], Run], as_it_was: Any, tells: str | None = "") -> str | None:
    """List what is wrong with the end of this run or of the one after it."""
    run = start()
    try:
        until("its end", lambda: look(run), ENDS_WITHIN)
    except AssertionError:
        return f"it has not ended: {run.state}, {[str(s.state) for s in run.steps.all()]}"
    if run.error is not None if tells is None else tells not in (run.error or ""):
        return f"it has ended {run.state}: {run.error}"
    after = hostile.probed.start()
    try:
        until("the end of the next", lambda: look(after), ENDS_WITHIN)
    except AssertionError:
        return f"the next has not ended: {after.state}"
    if after.state != RunState.SUCCESS:
        return f"the next has failed: {after.error}"
    changed = {key: value for key, value in probe(after).items() if value != as_it_was[key]}
    return f"the next has found {changed}" if changed else None


def probe(run: Run) -> dict[str, Any]:
    found: Any = Step.objects.get(run=run).result
    assert isinstance(found, dict)
    return found


def completion(run: Run) -> float:
    run.refresh_from_db()
    return run.completion


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_report_is_seen_from_inside_a_transaction_and_nobody_waits_for_it(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, which is the body's transaction")
    start_worker(pool, slots=2)
    run = hostile.transacting.start(gate=gate.name)
    gate.reached()

    # Waiting for the transaction would never end: its gate is closed.
    until("the report", lambda: completion(run) == 50.0)
    other = workflows.noops.start()
    until("the end of another run", lambda: look(other))
    cancel(run.pk)

    for _ in range(2):
        gate.open()
    assert until("its end", lambda: look(run)) == RunState.REVOKED


def test_a_report_from_inside_a_transaction_of_sqlite_is_seen_when_it_ends(
    start_worker: StartWorker, gate: Gate
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("elsewhere it is seen at once")
    start_worker("prefork")
    run = hostile.transacting.start(gate=gate.name)
    gate.reached()
    gate.open()
    gate.reached()

    until("the report", lambda: completion(run) == 50.0)

    gate.open()
    assert until("its end", lambda: look(run)) == RunState.SUCCESS
