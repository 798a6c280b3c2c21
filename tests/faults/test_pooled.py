"""The project's database has a pool of connections: a worker takes none from it."""

import pytest
from django.db import connection

from parent.models import RunState
from tests.faults.conftest import StartWorker
from tests.faults.test_hostile_bodies import TELLS, probe, trial
from tests.flows import hostile
from tests.waiting import ended
from tests.workers import Worker

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="Django has pools for PostgreSQL."
)

POOLS = ["prefork", "threads"]
SLOTS = 8
"""More than the connections of Django's pool, which each has four of."""
IN_THE_SESSION = ["leaves_settings_in_the_session", "leaves_a_lock_in_the_session"]
AGAIN = 4
"""So often, a pool has handed each connection out."""


def pooled(start_worker: StartWorker, pool: str, slots: int = 1) -> Worker:
    settings = "tests.faults.pooled_settings"
    return start_worker(pool, slots=slots, DJANGO_SETTINGS_MODULE=settings)


@pytest.mark.parametrize("pool", POOLS)
def test_a_body_finds_nothing_that_another_left_in_its_session(
    start_worker: StartWorker, pool: str
) -> None:
    pooled(start_worker, pool)
    as_it_was = probe(ended(hostile.probed.start()))

    for name in IN_THE_SESSION * AGAIN:
        assert trial(hostile.starts[name], as_it_was, TELLS.get(name, "")) is None


@pytest.mark.parametrize("pool", POOLS)
def test_no_slot_waits_for_the_connection_of_another(start_worker: StartWorker, pool: str) -> None:
    pooled(start_worker, pool, SLOTS)

    runs = [hostile.probed.start() for _ in range(3 * SLOTS)]

    assert {ended(run).state for run in runs} == {RunState.SUCCESS}
