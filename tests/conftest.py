"""Fixtures for all tests: a real broker, and a temporary folder for media files."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from celery import current_app
from django.conf import LazySettings, settings
from django.db import connections, transaction
from django.test import TransactionTestCase
from django.utils import translation
from kombu import pools
from whitenoise.middleware import WhiteNoiseMiddleware

from parent.definition.workflow import registry
from quickstart import redis as redis_programs
from quickstart.errors import NoRedisServer
from quickstart.redis import RedisServer
from tests import rounds
from tests.children.celery_app import restored_tasks
from tests.services import RabbitMQ, postgres_server, postgres_tools, redis_server
from tests.workers import fork_servers

LAST_LINES = 60
"""Of a worker's log, in the report of a failed test."""


def pytest_configure() -> None:
    """Programs that tests start and signal inherit what is ignored here, as it is under `nohup` and
    in a script's background.
    """
    for number, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, default)
    gc.disable()  # until all tests are there: what is made meanwhile stays


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    turns = rounds.turns(list(dict.fromkeys(item.path for item in items)))
    items.sort(key=lambda item: turns[item.path])


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> rounds.Scheduling | None:
    return rounds.Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """The garbage collector ignores what lives as long as the process: 7,000 tests, and Django."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its workers logged last.

    Reports go between processes as UTF-8, but some tests log text that cannot be encoded.
    """
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "call" and report.failed and folder is not None:
        for log in sorted(folder.glob("worker-*.log")):
            last = log.read_text().splitlines()[-LAST_LINES:]
            report.sections.append((f"End of {log.name}", "\n".join(last)))
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


def missing(what: str) -> NoReturn:
    """Skip on a laptop, fail in CI."""
    if "CI" in os.environ:
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """A database for each process. SQLite's is a file, so that workers can open it too."""
    database = settings.DATABASES["default"]
    if "sqlite3" in database["ENGINE"]:
        file = tmp_path_factory.mktemp("database") / "test.sqlite3"
        database["TEST"]["NAME"] = str(file)
        if migrated := os.environ.get(rounds.MIGRATED):
            shutil.copy(migrated, file)


KEPT = {"django_migrations", "django_content_type", "auth_permission"}
"""Tables that hold the same rows in every test."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """After a transactional test, delete the rows there are.

    Django's `flush` truncates each table, empty or not, and then creates all content types and
    permissions anew: 15 ms for each test on SQLite, 235 ms on PostgreSQL.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_rows)
        yield


def delete_rows(case: TransactionTestCase) -> None:
    connection = connections["default"]
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [connection.ops.quote_name(name) for name in sorted({*names} - KEPT)]
    filled = " UNION ALL ".join(
        f"SELECT {number} WHERE EXISTS (SELECT 1 FROM {table})"
        for number, table in enumerate(tables)
    )
    # In one transaction, at the end of which foreign keys are checked: any order will do.
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # what still writes ends first, as before a TRUNCATE
            cursor.execute(f"LOCK TABLE {', '.join(tables)}")
        cursor.execute(filled)
        for (number,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {tables[number]}")


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_found_once() -> Iterator[None]:
    """Each test client makes all middleware anew, and WhiteNoise's looks for all static files."""
    find, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def find_once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


@pytest.fixture(autouse=True)
def _own_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that two workflows of an earlier test had are not the fault of this one."""
    monkeypatch.setattr(registry, "_duplicates", [])


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry for this test's workflows only. Their tasks are removed after the test."""
    monkeypatch.setattr(registry, "_workflows", {})
    with restored_tasks():
        yield


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request leaves its language active in the thread, here that of the next tests too."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def _nowhere(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of no broker, which the Celery app has."""
    nowhere = f"redis+socket://{tmp_path_factory.mktemp('no-broker') / 'redis.sock'}"
    use_broker(nowhere)
    return nowhere


@pytest.fixture(autouse=True)
def _no_broker(_nowhere: str) -> Iterator[None]:
    """Without the fixture `broker` no broker is configured: not that of `make up`, and not that of
    an earlier test.
    """
    yield
    if current_app.conf.broker_url != _nowhere:
        use_broker(_nowhere)


@pytest.fixture(scope="session", autouse=True)
def _fork_servers() -> Iterator[None]:
    """Close the fork servers at the end of the session."""
    yield
    fork_servers.close()


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """A real Redis server for the session."""
    with redis_server(find_redis()) as url:
        yield url


def find_redis() -> RedisServer:
    """The server program of this machine."""
    try:
        return redis_programs.find()
    except NoRedisServer as exc:
        missing(str(exc))


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """A RabbitMQ server for the session."""
    with tempfile.TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as folder:
        try:
            server = RabbitMQ(Path(folder))
        except FileNotFoundError as exc:
            missing(f"There is no {exc}.")
        try:
            server.start()
            yield server.url
        finally:
            server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server for what starts with a database of its own."""
    if (tools := postgres_tools()) is None:
        missing("There is no `initdb` of PostgreSQL.")
    with postgres_server(tools) as url:
        yield url


@pytest.fixture
def broker(broker_url: str) -> str:
    """The Celery app on an empty broker."""
    use_broker(broker_url)
    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        channel.client.flushall()
    return broker_url


def use_broker(url: str) -> None:
    """Point the Celery app of this process at a broker, and close all connections afterwards."""
    pools.reset()
    # The app caches its connection pools (celery 5.7, `Celery.pool`, `AMQP.producer_pool`).
    app: Any = current_app
    app.conf.broker_url = url
    app._pool = app.amqp._producer_pool = None


@pytest.fixture(scope="session")
def _all_media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that no test before has had. Made where a test stores a file, and a millisecond
    sooner than `tmp_path`, which is made for each test that asks for it.
    """
    folder = tmp_path_factory.mktemp("media")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def media(settings: LazySettings, _all_media: Iterator[Path]) -> Path:
    """Uploaded files go to a folder that pytest deletes."""
    folder = next(_all_media)
    settings.MEDIA_ROOT = str(folder)
    return folder
