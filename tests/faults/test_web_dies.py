"""A web process is killed, or its database goes away, between a signal's arrival and the answer."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from parent.models import Event, ReceivedSignal, Run, RunState, StepState
from tests.faults.conftest import StartWorker
from tests.faults.servers import OwnPostgres
from tests.faults.test_database import cluster, transactional_db
from tests.flows.workflows import signalled
from tests.ops.conftest import token
from tests.ops.web import Web, web_server
from tests.system.conftest import step
from tests.waiting import ended, until

__all__ = ["cluster", "token", "transactional_db"]

pytestmark = pytest.mark.timeout(180)

PLACES = ["before the insert", "before the commit", "after the commit", "before the answer"]
STORED = PLACES[2:]
"""Where it is stored already."""


class Caller:
    """Gives signals, and closes its connection whatever becomes of it."""

    def __init__(self, web: Web, token: str) -> None:
        self._host = web.url.removeprefix("http://")
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def give(self, run: Run, **values: int) -> tuple[int, Any]:
        """The status and the JSON of the answer."""
        with closing(HTTPConnection(self._host, timeout=60)) as connection:
            path = f"/tasks/{run.pk}/signals/numbers/"
            connection.request("POST", path, json.dumps(values), self._headers)
            with connection.getresponse() as answer:
                return answer.status, json.load(answer)


Serve = Callable[..., AbstractContextManager[Caller]]


@pytest.fixture
def serve(cluster: OwnPostgres, broker: str, token: str, tmp_path: Path) -> Serve:
    """A function that runs the web service, which meets the next signal at a place."""

    @contextmanager
    def one(place: str, **environ: str) -> Iterator[Caller]:
        known = {"AT": place, "FOLDER": str(tmp_path), "DATABASE_URL": cluster.url, **environ}
        with web_server(broker, token, module="tests.faults.dying_web", **known) as web:
            (tmp_path / "armed").touch()
            yield Caller(web, token)

    return one


def waiting() -> Run:
    run = signalled.start()
    until("the signal is waited for", lambda: step(run, "numbers").state == StepState.RUNNING)
    return run


def assert_it_counts_once(caller: Caller, run: Run) -> None:
    """Give it again and again, as a client does that got no answer."""
    status, first = caller.give(run, a=2)
    assert (status, first["values"]) == (200, {"a": 2})

    assert ended(run).state == RunState.SUCCESS
    assert run.result == 3
    assert step(run, "merge").attempt == 1
    assert caller.give(run, a=2) == (200, first)
    assert caller.give(run, a=4)[0] == 409
    assert ReceivedSignal.objects.get(run=run).values == {"a": 2}
    history = Event.objects.filter(run=run).values_list("what", "who")
    assert list(history) == [("signal", "eve")]


@pytest.mark.parametrize("place", PLACES)
def test_a_web_process_that_is_killed(start_worker: StartWorker, serve: Serve, place: str) -> None:
    start_worker()
    run = waiting()

    with serve(place) as caller:
        with pytest.raises((HTTPException, OSError)):
            caller.give(run, a=2)
        assert ReceivedSignal.objects.filter(run=run).exists() == (place in STORED)

        assert_it_counts_once(caller, run)


@pytest.mark.parametrize("place", STORED)
def test_what_it_had_stored_goes_on_although_nobody_asks_again(
    start_worker: StartWorker, serve: Serve, place: str
) -> None:
    start_worker()
    run = waiting()

    with serve(place) as caller, pytest.raises((HTTPException, OSError)):
        caller.give(run, a=2)

    assert ended(run).result == 3


@pytest.mark.parametrize("place", PLACES)
def test_a_database_that_goes_away(
    cluster: OwnPostgres, start_worker: StartWorker, serve: Serve, tmp_path: Path, place: str
) -> None:
    start_worker()
    run = waiting()

    with serve(place, WAITS="yes") as caller, ThreadPoolExecutor() as beside:
        asked = beside.submit(caller.give, run, a=2)
        until("the place", (tmp_path / "reached").exists)
        with cluster.stopped():
            (tmp_path / "go").touch()
            status, _ = asked.result()
        assert status == (200 if place in STORED else 503)
        assert ReceivedSignal.objects.filter(run=run).exists() == (place in STORED)

        assert_it_counts_once(caller, run)
