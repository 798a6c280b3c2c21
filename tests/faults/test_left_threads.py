"""A worker stops, also where a body has left threads in it that never end."""

import pytest

from parent.models import RunState
from tests.faults.conftest import StartWorker
from tests.flows.left_behind import KINDS, left_behind
from tests.waiting import ended

STOPS_WITHIN = 25


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", ["threads", "solo", "prefork"])
def test_the_worker_stops(start_worker: StartWorker, pool: str, kind: str) -> None:
    worker = start_worker(pool)
    assert ended(left_behind.start(kind=kind)).state == RunState.SUCCESS

    worker.ask_to_stop()

    assert worker.process.wait(STOPS_WITHIN) == 0
    if pool != "prefork":
        assert "left-behind" in worker.wait_for("threads that bodies have left")
