"""Bodies that do to their process, their connection or their transaction what a body can."""

import asyncio
import decimal
import gc
import locale
import logging
import logging.config
import os
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import shared_task
from celery.exceptions import Ignore
from django.contrib.auth.models import Group, User
from django.db import connection, connections, transaction
from django.utils import timezone, translation
from rest_framework import serializers

from children import AttemptLost, Progress, child_task
from parent import Step, Workflow
from parent.models import Run
from tests.flows.tasks import gates

BODIES: dict[str, Callable[[Progress], Any]] = {}
kept: list[Any] = []
"""What a body keeps alive beyond its end."""


def body(function: Callable[[Progress], Any]) -> Callable[[Progress], Any]:
    BODIES[function.__name__] = function
    return function


def write() -> None:
    Group.objects.create(name=os.urandom(8).hex())


@body
def leaves_autocommit_off(progress: Progress) -> None:
    transaction.set_autocommit(False)
    write()


@body
def leaves_autocommit_off_and_fails(progress: Progress) -> None:
    transaction.set_autocommit(False)
    write()
    raise ValueError("and fails")


@body
def leaves_atomic(progress: Progress) -> None:
    transaction.atomic().__enter__()
    write()


@body
def leaves_atomic_twice_and_reports(progress: Progress) -> None:
    transaction.atomic().__enter__()
    transaction.atomic().__enter__()
    write()
    progress.update(1, 2)


@body
def begins_by_sql(progress: Progress) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
    write()
    progress.update(1, 2)


@body
def leaves_a_failed_transaction(progress: Progress) -> None:
    transaction.set_autocommit(False)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing_like_it")
    except Exception:
        progress.update(1, 2)


@body
def closes_the_connection_under_django(progress: Progress) -> None:
    progress.update(1, 2)
    write()
    connection.connection.close()
    progress.update(2, 2)


@body
def closes_it_in_a_transaction(progress: Progress) -> None:
    with transaction.atomic():
        write()
        connection.connection.close()


@body
def closes_its_file_descriptors(progress: Progress) -> None:
    write()
    for number in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{number}"
        target = os.readlink(path) if os.path.lexists(path) else ""
        if connection.vendor == "sqlite" and str(connection.settings_dict["NAME"]) in target:
            os.close(int(number))
    if connection.vendor == "postgresql":
        os.close(connection.connection.fileno())
    progress.update(2, 2)


@body
def closes_all_connections(progress: Progress) -> None:
    write()
    connections.close_all()
    progress.update(1, 2)
    del connections["default"]


@body
def marks_the_connection(progress: Progress) -> None:
    write()
    connection.execute_wrappers.append(lambda *_: 1 / 0)
    connection.needs_rollback = True
    progress.update(1, 2)


@body
def leaves_settings_in_the_session(progress: Progress) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA query_only = on")
            return
        cursor.execute("SET statement_timeout = 1")
        cursor.execute("SET default_transaction_read_only = on")
        cursor.execute("SET search_path = nowhere")


@body
def leaves_a_lock_in_the_session(progress: Progress) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(7)")


@body
def keeps_a_cursor_open(progress: Progress) -> None:
    write()
    rows = Group.objects.all().iterator(chunk_size=1)
    next(rows)
    kept.append(rows)


@body
def locks_its_own_run(progress: Progress) -> None:
    with transaction.atomic():
        Run.objects.select_for_update().get(steps__task_id=current_id())
        for _ in progress.track(range(4)):
            time.sleep(0.6)


@body
def reports_in_a_transaction(progress: Progress) -> None:
    with transaction.atomic():
        write()
        for _ in progress.track(range(6)):
            time.sleep(0.25)


@body
def saves_what_it_iterates(progress: Progress) -> None:
    for _ in range(3):
        write()
    rows = Group.objects.order_by("-pk")[:3]  # other bodies have written too
    for row in progress.track(rows.iterator(chunk_size=1), total=3):
        time.sleep(0.4)
        row.save()


@body
def forks_and_reports(progress: Progress) -> None:
    pids = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            progress.update(number, 3, f"fork {number}")
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    progress.update(3, 3)


@body
def forks_and_returns_twice(progress: Progress) -> None:
    write()
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)


@body
def forks_and_queries(progress: Progress) -> None:
    write()
    pid = os.fork()
    if pid == 0:
        progress.update(1, 2)
        sys.exit(3)
    os.waitpid(pid, 0)
    write()


@body
def raises_attempt_lost(progress: Progress) -> None:
    progress.update(1, 2)
    raise AttemptLost


@body
def raises_ignore(progress: Progress) -> None:
    raise Ignore


@body
def changes_its_surroundings(progress: Progress) -> None:
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    os.environ["TZ"] = "Asia/Tokyo"
    os.environ["HOSTILE"] = "yes"
    time.tzset()
    os.chdir(tempfile.gettempdir())
    decimal.getcontext().prec = 3
    decimal.DefaultContext.prec = 3
    os.umask(0o777)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    socket.setdefaulttimeout(0.001)
    gc.disable()
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(5_000)
    sys.argv = ["other"]


@body
def deletes_its_directory(progress: Progress) -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


@body
def leaves_an_alarm(progress: Progress) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.5)


@body
def ignores_signals(progress: Progress) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)


@body
def has_threads_that_report(progress: Progress) -> None:
    threads = [threading.Thread(target=progress.update, args=(n, 8)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@body
def is_reported_on_after_its_end(progress: Progress) -> None:
    def late() -> None:
        time.sleep(1)
        with suppress(AttemptLost):
            progress.update(7, 8)

    threading.Thread(target=late, daemon=True).start()


@body
def recurses_without_end(progress: Progress) -> None:
    recurses_without_end(progress)


@body
def runs_out_of_memory(progress: Progress) -> None:
    raise MemoryError


@body
def raises_what_celery_keeps_for_itself(progress: Progress) -> None:
    progress.update(1, 2)
    raise WorkerLostError("it says")


@body
def raises_a_time_limit(progress: Progress) -> None:
    raise TimeLimitExceeded(3)


@body
def keeps_sqlite_for_itself(progress: Progress) -> None:
    if connection.vendor == "sqlite":
        own = sqlite3.connect(connection.settings_dict["NAME"], check_same_thread=False)
        own.execute("BEGIN IMMEDIATE")
        kept.append(own)


@body
def closes_all_it_can(progress: Progress) -> None:
    """Pipes to its pool included, so that the process cannot go on."""
    progress.update(1, 2)
    os.closerange(3, 512)


@body
def leaves_an_event_loop_running(progress: Progress) -> None:
    """As Playwright's API for code that is not asynchronous does until it is stopped."""
    transaction.atomic().__enter__()
    write()
    loop = asyncio.new_event_loop()
    kept.append(loop)
    asyncio._set_running_loop(loop)


@body
def leaves_timers_of_its_processor_time(progress: Progress) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0.2)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)


@body
def configures_logging(progress: Progress) -> None:
    """As Alembic does: it disables the loggers that are there."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})


@body
def leaves_a_profiler_on(progress: Progress) -> None:
    sys.setprofile(lambda *_: None)


@body
def leaves_a_user_locked(progress: Progress) -> None:
    transaction.atomic().__enter__()
    list(User.objects.select_for_update().all())


def current_id() -> str:
    from celery import current_task

    return str(current_task.request.id)


@child_task(name="hostile.run")
def run_hostile(progress: Progress, body: str) -> Any:
    return BODIES[body](progress)


@child_task(name="hostile.limited", soft_time_limit=1)
def limited_query(progress: Progress) -> None:
    """A limit inside a query."""
    progress.update(1, 2)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sleep(30)")
        else:
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000000) "
                "SELECT count(*) FROM n"
            )


@child_task(name="hostile.limited_in_transaction", soft_time_limit=1)
def limited_in_transaction(progress: Progress) -> None:
    with transaction.atomic():
        write()
        for _ in progress.track(range(100)):
            time.sleep(0.2)


@child_task(name="hostile.transacts")
def transacts(progress: Progress, gate: str) -> None:
    """Report from inside a transaction, stand at a gate there, and at another one after it."""
    server = gates()
    with transaction.atomic():
        write()
        progress.update(1, 2, "inside")
        server.rpush(f"{gate}:reached", os.getpid())
        assert server.blpop([f"{gate}:open"], timeout=60)
    server.rpush(f"{gate}:reached", os.getpid())
    assert server.blpop([f"{gate}:open"], timeout=60)
    progress.update(2, 2)


@shared_task(name="hostile.foreign")
def foreign_hostile(body: str) -> None:
    """One that knows nothing of progress."""
    BODIES[body](Progress(lambda _: None))


@child_task(name="hostile.probe")
def probe(progress: Progress) -> dict[str, Any]:
    """What a body finds that comes after another."""
    write()
    progress.update(1, 2)
    with transaction.atomic():
        write()
    mask = os.umask(0o022)
    os.umask(mask)
    return {
        "language": translation.get_language(),
        "zone": timezone.get_current_timezone_name(),
        "TZ": [os.environ.get("TZ"), list(time.tzname)],
        "environment": os.environ.get("HOSTILE"),
        "folder": os.getcwd(),
        "precision": [decimal.getcontext().prec, decimal.DefaultContext.prec],
        "umask": mask,
        "socket": socket.getdefaulttimeout(),
        "gc": gc.isenabled(),
        "logging": logging.root.manager.disable,
        "recursion": sys.getrecursionlimit(),
        "timers": [
            signal.getitimer(kind)
            for kind in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        ],
        "loggers": logging.getLogger("django.request").disabled,
        "arguments": sys.argv,
        "profiler": str(sys.getprofile()),
        "handlers": [
            str(signal.getsignal(number)).partition(" at ")[0]
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD)
        ],
        "session": _session(),
    }


def _session() -> Any:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA query_only")
        else:
            cursor.execute(
                "SELECT current_setting('statement_timeout'), current_setting('search_path')"
            )
        return cursor.fetchone()


class HostileParams(serializers.Serializer[None]):
    body = serializers.CharField()


class GateParams(serializers.Serializer[None]):
    gate = serializers.CharField()


hostile = Workflow("hostile", params=HostileParams, steps=[Step(run_hostile)])
hostile_foreign = Workflow("hostile_foreign", params=HostileParams, steps=[Step(foreign_hostile)])
hostile_limited = Workflow("hostile_limited", steps=[Step(limited_query)])
hostile_limited_in_transaction = Workflow(
    "hostile_limited_in_transaction", steps=[Step(limited_in_transaction)]
)
probed = Workflow("probed", steps=[Step(probe)])
transacting = Workflow("transacting", params=GateParams, steps=[Step(transacts)])

starts: dict[str, Callable[[], Run]] = {
    **{name: partial(hostile.start, body=name) for name in BODIES},
    "has_a_limit_in_a_query": hostile_limited.start,
    "has_a_limit_in_a_transaction": hostile_limited_in_transaction.start,
    "is_foreign_and_leaves_atomic": partial(hostile_foreign.start, body="leaves_atomic"),
    "is_foreign_and_changes_things": partial(
        hostile_foreign.start, body="changes_its_surroundings"
    ),
    "is_foreign_and_breaks_it": partial(
        hostile_foreign.start, body="closes_the_connection_under_django"
    ),
}
