"""Bodies that report and then say nothing for long: they stand at a gate."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from unittest.mock import patch

from django.db import connection, transaction
from rest_framework import serializers

from children import Progress, child_task
from parent import Map, Step, Workflow
from tests.flows.hostile import write
from tests.flows.tasks import gates

Body = Callable[[Progress], object]

BODIES: dict[str, Body] = {}
LAST: dict[str, tuple[int, str]] = {}
"""The last iteration and message of each body."""


def last(iteration: int, message: str) -> Callable[[Body], Body]:
    def note(body: Body) -> Body:
        LAST[body.__name__] = iteration, message
        BODIES[body.__name__] = body
        return body

    return note


@last(1, "one")
def says_one_thing(progress: Progress) -> None:
    progress.update(1, 4, "one")


@last(2, "two")
def says_two_things_at_once(progress: Progress) -> None:
    progress.update(1, 4, "one")
    progress.update(2, 4, "two")


@last(5, "then mails")
def loops_and_then_says(progress: Progress) -> None:
    for _ in progress.track(range(5)):
        time.sleep(0.13)
    progress.message("then mails")


@last(3, "three")
def says_it_around_the_end_of_the_moment(progress: Progress) -> None:
    progress._interval = 0
    for number, message in enumerate(("one", "two", "three"), start=1):
        progress.update(number, 4, message)
        time.sleep(0.09 if number == 1 else 0.02)


@last(2, "two")
def says_it_in_a_transaction(progress: Progress) -> None:
    with transaction.atomic():
        write()
        progress.update(2, 4, "two")


@last(2, "two")
def says_it_before_a_transaction_and_in_it(progress: Progress) -> None:
    progress.update(1, 4, "one")
    with transaction.atomic():
        write()
        time.sleep(0.6)
        progress.update(2, 4, "two")


@last(2, "two")
def says_it_in_a_transaction_that_fails(progress: Progress) -> None:
    with suppress(ValueError), transaction.atomic():
        write()
        progress.update(2, 4, "two")
        raise ValueError


@last(2, "two")
def says_it_in_a_transaction_by_sql(progress: Progress) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
        write()
        progress.update(2, 4, "two")
        cursor.execute("COMMIT")


@last(1, "one")
def asks_in_a_transaction(progress: Progress) -> None:
    progress.update(1, 4, "one")
    began = time.monotonic()
    with transaction.atomic():
        write()
        time.sleep(0.2)
        assert progress.run.params
    assert time.monotonic() - began < 5


@last(2, "of a fork")
def says_it_in_a_fork(progress: Progress) -> None:
    if (pid := os.fork()) == 0:
        progress.update(2, 4, "of a fork")
        os._exit(0)
    os.waitpid(pid, 0)


@last(2, "of a thread")
def says_it_in_a_thread(progress: Progress) -> None:
    thread = threading.Thread(target=progress.update, args=(2, 4, "of a thread"))
    thread.start()
    thread.join()


@last(1, "frozen")
def says_it_while_a_clock_is_frozen(progress: Progress) -> None:
    with patch.object(time, "monotonic", lambda: 5.0):
        progress.update(1, 4, "frozen")
        stand_at_the_gate()


@last(2, "two")
def keeps_a_place(progress: Progress) -> None:
    progress.checkpoint(1)
    progress.checkpoint(2)
    progress.update(2, 4, "two")


@last(1, "\ufffd" + "x" * 100)
def says_what_cannot_be_stored(progress: Progress) -> None:
    progress.update(1, 4, "\x00" + "x" * 100)
    with suppress(ValueError):
        progress.update(float("nan"), 4)


def stand_at_the_gate() -> None:
    server = gates()
    server.rpush("gate:reached", os.getpid())
    assert server.blpop(["gate:open"], timeout=60)


def run_body(progress: Progress, body: str) -> None:
    BODIES[body](progress)
    if body != "says_it_while_a_clock_is_frozen":
        stand_at_the_gate()


class BodyParams(serializers.Serializer[None]):
    body = serializers.CharField()


run_quiet = child_task(name="quiet.run")(run_body)


@child_task(name="quiet.run_async")
async def run_quiet_async(progress: Progress, body: str) -> None:
    run_body(progress, body)


quiet = Workflow("quiet", params=BodyParams, steps=[Step(run_quiet, name="run")])
quiet_async = Workflow("quiet_async", params=BodyParams, steps=[Step(run_quiet_async, name="run")])
quiet_item = Workflow(
    "quiet_item",
    params=BodyParams,
    steps=[Map(run_quiet, name="run", over=lambda run: [dict(run.params)])],
)
