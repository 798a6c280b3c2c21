"""An author's function cannot end the engine's transaction: its run says that it tried to."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, connections, transaction
from psycopg.sql import SQL
from rest_framework import serializers

from children import Progress, child_task
from children.meta import Meta
from parent import Concurrency, Map, Signal, Step, Workflow
from parent.errors import SignalClosed
from parent.inline import run_inline
from parent.models import ReceivedSignal, Run, RunState, StepState
from parent.models import Step as StepRow
from parent.runs import endings
from parent.runs.endings import end_attempt
from parent.runs.items.child_runs import ChildRunsOfItems
from parent.runs.signals.give import give
from parent.runs.start import start
from tests.flows import tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_registry")]


def sql(statement: Any) -> Callable[[], object]:
    def execute() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return execute


def by_name(method: str) -> Callable[[], object]:
    """Of the connection that there is then."""

    def call() -> None:
        attrgetter(method)(connection)()

    return call


def suppressed() -> None:
    with suppress(Exception):
        sql("COMMIT")()


def many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("COMMIT", [()])


def leaves_one_in_another() -> None:
    with transaction.atomic():
        Group.objects.create(name="left")
        transaction.atomic().__enter__()
        transaction.atomic().__enter__()


def breaks_it() -> None:
    with suppress(DatabaseError):
        sql("SELECT nothing_like_it")()


ENGINES = "but the transaction in which it was called is the engine's"
STATEMENTS = [
    *("COMMIT", " \n commit;", "END", "ROLLBACK", "rollback transaction", "/* why */ COMMIT"),
    *("-- why\nCOMMIT", ";COMMIT", "SELECT 1; COMMIT", "COMMIT AND CHAIN", "ABORT", "BEGIN"),
    *("START TRANSACTION", "PREPARE TRANSACTION 'a'"),
]
ENDS: dict[str, tuple[Callable[[], object], str]] = {
    **{statement: (sql(statement), ENGINES) for statement in STATEMENTS},
    "composed": (sql(SQL("COMMIT")), ENGINES),
    "executemany": (many, ENGINES),
    "transaction.commit": (transaction.commit, "forbidden when an 'atomic' block"),
    "transaction.rollback": (transaction.rollback, "forbidden when an 'atomic' block"),
    "autocommit": (lambda: transaction.set_autocommit(True), "forbidden when an 'atomic' block"),
    "closes": (by_name("close"), f"it closed the connection, {ENGINES}"),
    "closes all": (connections.close_all, f"it closed the connection, {ENGINES}"),
    "leaves one open": (lambda: transaction.atomic().__enter__(), "it left a transaction open"),
    "leaves two open": (leaves_one_in_another, "it left a transaction open"),
}
"""What it does, and the error."""

BY_THE_DRIVER: dict[str, Callable[[], object]] = {
    "commits": by_name("connection.commit"),
    "rolls back": by_name("connection.rollback"),
    "executes": lambda: connection.connection.execute("COMMIT"),
    "closes": by_name("connection.close"),
}
ENDED = "it ended the engine's transaction, in which it was called"

HARMLESS: dict[str, Callable[[], object]] = {
    "a savepoint": transaction.savepoint,
    "a savepoint in SQL": sql("SAVEPOINT a"),
    "an end in a text": sql("SELECT 'COMMIT', 'END', '; x'"),
    "an end of a case": sql("SELECT CASE WHEN 1 = 1 THEN 2 END"),
    "a transaction in it": transaction.atomic(lambda: Group.objects.create(name="in it")),
    "a refused end": suppressed,
    "a mark to roll back": lambda: transaction.set_rollback(True),
    "an error after the commit": lambda: transaction.on_commit(lambda: 1 / 0),
    "an exit after the commit": lambda: transaction.on_commit(lambda: sys.exit(3)),
}

does: list[Callable[[], object]] = []


def given(*_: Any) -> dict[str, Any]:
    does[-1]()
    return {"a": 1}


class Spoils(serializers.Serializer[None]):
    a = serializers.IntegerField()

    def validate(self, attrs: Any) -> Any:
        does[-1]()
        return attrs


@child_task(name="whole.takes")
def takes(progress: Progress, a: int = 0) -> int:
    return a


FIRST = Step(tasks.noop, name="first", inputs=lambda _: {})


def spoiled() -> Workflow:
    return Workflow("spoiled", params=Spoils, steps=[Step(takes, inputs=lambda _: {})])


def limited() -> Workflow:
    limit = Concurrency(key=lambda _: str(given()), limit=1)
    return Workflow("limited", concurrency=limit, steps=[Step(takes)])


def one(_: Any) -> list[dict[str, int]]:
    return [{"a": 1}]


HOOKS: dict[str, Callable[[], dict[str, Any]]] = {
    "inputs": lambda: {"steps": [FIRST, Step(takes, inputs=given)]},
    "over": lambda: {"steps": [FIRST, Map(takes, over=lambda _: [given()])]},
    "key": lambda: {"steps": [FIRST, Map(takes, over=one, key=lambda _: str(given()))]},
    "nested": lambda: {"steps": [FIRST, Step(spoiled(), inputs=lambda _: {"a": 1})]},
    "nested limit": lambda: {"steps": [FIRST, Step(limited(), inputs=lambda _: {})]},
    "nested items": lambda: {"steps": [FIRST, Map(spoiled(), over=one)]},
    "result": lambda: {"steps": [FIRST], "result": given},
}
SOME = ["COMMIT", "closes", "leaves one open"]
CASES = [("inputs", *case) for case in ENDS.values()]
CASES += [(hook, *ENDS[some]) for hook in HOOKS for some in SOME]
CASES += [(hook, call, ENDED) for hook in HOOKS for call in BY_THE_DRIVER.values()]
IDS = [f"inputs-{case}" for case in ENDS]
IDS += [f"{hook}-{some}" for hook in HOOKS for some in SOME]
IDS += [f"{hook}-driver-{case}" for hook in HOOKS for case in BY_THE_DRIVER]


def run_with(call: Callable[[], object], hook: str) -> Run:
    does.append(call)
    run = run_inline(Workflow("whole", **HOOKS[hook]()))
    assert not connection.in_atomic_block
    run.refresh_from_db()
    return run


@pytest.mark.parametrize(("hook", "call", "error"), CASES, ids=IDS)
def test_the_run_says_so(hook: str, call: Callable[[], object], error: str) -> None:
    run = run_with(call, hook)

    assert run.state == RunState.FAILURE
    assert error in str(run.error)
    whose = "items" if hook in ("over", "key") else "result" if hook == "result" else "inputs"
    assert f"the {whose} of " in str(run.error)
    assert not run.steps.filter(state__in=[StepState.WAITING, *StepRow.ACTIVE]).exists()
    assert not Group.objects.exists()


@pytest.mark.parametrize("call", BY_THE_DRIVER.values(), ids=BY_THE_DRIVER)
def test_a_signal_ends_the_run_whose_next_step_does_it(call: Callable[[], object]) -> None:
    does.append(call)
    signals, steps = [Signal("go")], [Step(takes, after=["go"], inputs=given)]
    run = start(Workflow("whole", signals=signals, steps=steps), {})

    try:
        give(run.pk, "go", {})
    except SignalClosed as exc:
        refused = str(exc)
    else:
        refused = ""

    assert not connection.in_atomic_block
    run.refresh_from_db()
    assert run.state == RunState.FAILURE
    assert ENDED in str(run.error)
    stored = ReceivedSignal.objects.filter(run=run).exists()  # committed by the author
    assert stored != (ENDED in refused)


@pytest.mark.parametrize("hook", ["inputs", "nested items", "result"])
@pytest.mark.parametrize("call", HARMLESS.values(), ids=HARMLESS)
def test_what_ends_nothing_is_allowed(call: Callable[[], object], hook: str) -> None:
    assert run_with(call, hook).error is None


@pytest.mark.parametrize(
    "call", [lambda: transaction.atomic().__enter__(), lambda: transaction.set_autocommit(False)]
)
def test_what_is_left_open_at_a_start_takes_nothing_with_it(call: Callable[[], object]) -> None:
    does.append(call)
    run = start(Workflow("whole", steps=[Step(takes, inputs=given)]), {})

    assert not connection.in_atomic_block
    connection.close()
    run.refresh_from_db()
    assert "Error in the inputs of takes: it left a transaction open" in str(run.error)


@pytest.mark.parametrize("kind", [Step, partial(Map, over=lambda _: [{}])], ids=["step", "items"])
def test_an_error_after_the_commit_fails_no_end(
    monkeypatch: pytest.MonkeyPatch, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    inside = Workflow("inside", steps=[Step(takes, inputs=lambda _: {})])
    flow = Workflow("whole", steps=[Step(takes, name="first"), kind(inside, after=["first"])])
    run = start(flow, {})

    with monkeypatch.context() as patched:
        patched.setattr(endings, "bring_up", lambda _: 1 / 0)
        patched.setattr(ChildRunsOfItems, "open", lambda *_: 1 / 0)
        assert end_attempt(str(run.steps.get(name="first").task_id), Meta().ok(None))
        for child in StepRow.objects.filter(run__parent_run=run):
            assert end_attempt(str(child.task_id), Meta().ok(None))

    assert "ZeroDivisionError" in caplog.text
