"""A broker and a database that can also hang: they accept connections but do not answer."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import environ
import psutil
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import load_backend

from chaos.servers import Broker, Postgres
from parent.store import kept_sql, writes
from quickstart.redis import RedisServer

__all__ = ["OwnBroker", "OwnPostgres", "use_database"]


class OwnBroker(Broker):
    """A Redis server of a test's own."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        super().__init__(server, folder)
        self.start()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class OwnPostgres(Postgres):
    """A PostgreSQL server of a test's own."""

    def freeze(self) -> None:
        """Stop its processes, those that serve connections first, so that none is replaced."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, signum: signal.Signals) -> None:
        pid = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        for process in (*postmaster.children(), postmaster):
            process.send_signal(signum)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it, as a crash does, and start it again."""
        self.stop()
        try:
            yield
        finally:
            self.start()
            connections[DEFAULT_DB_ALIAS].close()  # which the server has forgotten


@contextmanager
def use_database(url: str) -> Iterator[None]:
    """Make this the database of the test's own process, in this thread."""
    settings = {DEFAULT_DB_ALIAS: environ.Env.db_url_config(url)}
    values = connections.configure_settings(settings)[DEFAULT_DB_ALIAS]
    before = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = load_backend(values["ENGINE"]).DatabaseWrapper(values)
    _clear_cached_sql()
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS].close()
        connections[DEFAULT_DB_ALIAS] = before
        _clear_cached_sql()


def _clear_cached_sql() -> None:
    """Clear the cached SQL: it is in the dialect of the database before."""
    for function in (*vars(kept_sql).values(), *vars(writes).values()):
        if hasattr(function, "cache_clear"):
            function.cache_clear()
