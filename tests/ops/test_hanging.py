"""If database or broker hangs, the web process still reports health; a start waits a second."""

import resource
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from django.db import connection

from parent.models import Run
from tests.conftest import find_redis, missing
from tests.faults.servers import OwnBroker, OwnPostgres
from tests.ops.web_process import WebProcess
from tests.services import postgres_tools
from tests.waiting import until
from tests.workers import database_url

PROMPT = 2.0  # seconds
SECOND = 1.0
NOISE = 0.5  # seconds that a busy machine adds
THREADS = 4


@pytest.fixture(scope="module")
def own_broker() -> Iterator[OwnBroker]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = OwnBroker(find_redis(), Path(folder))
        yield server
        server.client.close()
        server.kill()


@pytest.fixture(scope="module")
def running(
    django_db_setup: None, own_broker: OwnBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebProcess]:
    environ = {"REDIS_URL": own_broker.url, "START_RATE": "1000/min", "METRICS_TOKEN": "m" * 16}
    with WebProcess(tmp_path_factory.mktemp("web"), **environ) as running:
        yield running


@pytest.fixture
def web(running: WebProcess, token: str) -> WebProcess:
    running.token = token
    assert running.ask("POST", "/workflows/noops/", 30, {})[0] == 202  # all is imported
    return running


@contextmanager
def database_locked() -> Iterator[None]:
    """By another process: what writes waits, on SQLite for half a minute."""
    if connection.vendor == "sqlite":
        name = connection.settings_dict["NAME"]
        with closing(sqlite3.connect(name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
    else:
        with psycopg.connect(database_url()) as other:
            other.execute(f"LOCK TABLE {Run._meta.db_table} IN ACCESS EXCLUSIVE MODE")
            yield
            other.rollback()


class Askers:
    """Requests in threads: as many as the server has, and a few more."""

    def __init__(self, ask: Callable[[], tuple[int, Any]]) -> None:
        self._ask, self.statuses = ask, list[int]()
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS + 2)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            self.statuses.append(self._ask()[0])
        except (OSError, HTTPException):
            self.statuses.append(0)

    def join(self) -> list[int]:
        for thread in self._threads:
            thread.join()
        return self.statuses


def answers(web: WebProcess) -> bool:
    """Whether a thread is free, even for what needs no other server."""
    try:
        return web.get("/login/", timeout=0.5) == 200
    except TimeoutError:
        return False


def test_all_threads_wait_for_a_locked_database(web: WebProcess) -> None:
    with database_locked():
        askers = Askers(lambda: web.ask("POST", "/workflows/noops/", 60, {}))
        until("threads that are all busy", lambda: not answers(web))
        assert web.get("/healthz", timeout=PROMPT) == 200
        assert askers.statuses == []

    assert askers.join() == [202] * (THREADS + 2)


ASKED: list[Any] = [
    pytest.param("GET", "/healthz", None, 200, id="health"),
    pytest.param("GET", "/tasks/", None, 200, id="a list"),
    pytest.param("GET", "/metrics", None, 200, id="metrics"),
    pytest.param("POST", "/workflows/noops/", {}, 202, id="a start"),
    pytest.param("POST", "/tasks/{run}/cancel/", {}, 202, id="a cancel"),
    pytest.param("POST", "/tasks/{ended}/retry/", {}, 202, id="a retry"),
    pytest.param("DELETE", "/tasks/{ended}/", None, 204, id="a deletion"),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ASKED)
def test_a_stopped_redis_holds_nobody_up_for_more_than_a_second(
    web: WebProcess, own_broker: OwnBroker, method: str, path: str, body: Any, status: int
) -> None:
    run, ended = (web.ask("POST", "/workflows/noops/", 30, {})[1]["task_id"] for _ in range(2))
    web.ask("POST", f"/tasks/{ended}/cancel/", 30, {})
    own_broker.freeze()
    try:
        for _ in range(2 if method == "POST" and "{" not in path else 1):  # kept connection, new
            began = time.monotonic()
            answer = web.ask(method, path.format(run=run, ended=ended), 30, body)
            took = time.monotonic() - began

            assert (answer[0], took < SECOND + NOISE) == (status, True), (answer, took)
    finally:
        own_broker.thaw()


def test_readiness_says_that_redis_is_silent(web: WebProcess, own_broker: OwnBroker) -> None:
    own_broker.freeze()
    try:
        began = time.monotonic()
        status, document = web.ask("GET", "/readyz", 30, bearer="m" * 16)
    finally:
        own_broker.thaw()

    assert time.monotonic() - began < SECOND + NOISE
    assert (status, "does not answer" in document["checks"]["broker"]) == (503, True)


def test_many_starts_at_once_while_redis_is_stopped(web: WebProcess, own_broker: OwnBroker) -> None:
    own_broker.freeze()
    try:
        began = time.monotonic()
        askers = Askers(lambda: web.ask("POST", "/workflows/noops/", 60, {}))
        assert web.get("/healthz", timeout=PROMPT) == 200
        assert askers.join() == [202] * (THREADS + 2)
        # Two waves of threads.
        assert time.monotonic() - began < 2 * (SECOND + NOISE)
    finally:
        own_broker.thaw()


def test_a_stop_waits_for_the_answers_under_way(
    own_broker: OwnBroker, token: str, tmp_path: Path
) -> None:
    with WebProcess(tmp_path, REDIS_URL=own_broker.url) as web:
        web.token = token
        assert web.get("/healthz", timeout=30) == 200
        with database_locked():
            askers = Askers(lambda: web.ask("POST", "/workflows/noops/", 60, {}))
            until("threads that are all busy", lambda: not answers(web))
            web.process.terminate()
            until("a closed port", lambda: not listens(web))
        assert askers.join() == [202] * (THREADS + 2)  # those that waited for a thread, too


def listens(web: WebProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", web.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_disk_that_is_full_while_a_large_body_is_received(web: WebProcess) -> None:
    (server,) = psutil.Process(web.process.pid).children()
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (600_000, before[1]))
    try:
        status, problem = web.ask("POST", "/workflows/noops/", 30, {"large": "a" * 1_000_000})
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)

    assert (status, problem["title"]) == (507, "Insufficient Storage")
    assert web.get("/healthz", timeout=30) == 200


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    tools = postgres_tools()
    if tools is None:
        missing("no PostgreSQL server")
    assert tools is not None
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = OwnPostgres(tools, Path(folder))
        server.start()
        yield server
        server.stop()


def test_a_stopped_postgresql(postgres: OwnPostgres, tmp_path: Path) -> None:
    environ = {"DATABASE_URL": postgres.url, "METRICS_TOKEN": "m" * 16}
    with WebProcess(tmp_path, **environ) as web:
        web.token = "of-nobody"  # it is looked for, so each thread has its connection
        Askers(lambda: web.ask("GET", "/tasks/", 30)).join()
        postgres.freeze()
        try:
            askers = Askers(lambda: web.ask("GET", "/tasks/", 60))
            until("threads that are all busy", lambda: not answers(web))
            assert web.get("/healthz", timeout=PROMPT) == 200
            assert askers.statuses == []
        finally:
            postgres.thaw()
        askers.join()
