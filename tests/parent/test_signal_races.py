"""Two things happen to one signal at the same moment: one of them counts, and the other is told."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from rest_framework import serializers

from parent import Map, Signal, Step, Workflow
from parent.errors import RunEnded, SignalClosed, SignalGiven
from parent.models import Event, Item, ReceivedSignal, Run, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.signals.expire import expire
from parent.runs.signals.give import close, give
from parent.runs.start import start
from tests.flows import tasks
from tests.parent.test_item_races import Fleet, fleet
from tests.waiting import ended, until

__all__ = ["fleet"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_registry"),
]

TIMEOUT = 30.0
ROUNDS = 8


class Prices(serializers.Serializer[Any]):
    price = serializers.IntegerField()


@pytest.fixture
def flow(own_registry: None) -> Workflow:
    merge = Step(tasks.noop, name="merge", after=["prices"], inputs=lambda _: {})
    return Workflow("raced", steps=[merge], signals=[Signal("prices", params=Prices, timeout=60)])


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do these at the same moment, each in a thread; what each returned or raised."""
    ready, found = threading.Barrier(len(acts)), [None] * len(acts)

    def do(place: int) -> None:
        try:
            ready.wait(TIMEOUT)
            found[place] = acts[place]()
        except Exception as exc:
            found[place] = exc  # type: ignore[call-overload]
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    return found


def state(run: Run) -> str:
    return run.steps.get(name="prices").state


def test_of_two_different_values_one_counts_and_the_other_is_refused(flow: Workflow) -> None:
    for _ in range(ROUNDS):
        run = start(flow, {})

        found = at_once(*(partial(give, run.pk, "prices", {"price": n}) for n in range(4)))

        (came,) = [each for each in found if isinstance(each, ReceivedSignal)]
        assert [type(each) for each in found if each is not came] == [SignalGiven] * 3
        assert run.steps.get(name="prices").result == came.values
        assert ReceivedSignal.objects.get(run=run).values == came.values
        assert Event.objects.filter(run=run).count() == 1
        assert run.steps.get(name="merge").attempt == 1


def test_the_same_values_at_once_are_one_answer(flow: Workflow) -> None:
    run = start(flow, {})

    found = at_once(*[lambda: give(run.pk, "prices", {"price": 1})] * 4)

    assert {each.pk for each in found} == {ReceivedSignal.objects.get(run=run).pk}
    assert run.steps.get(name="merge").attempt == 1


def test_of_an_arrival_and_a_timeout_one_counts(flow: Workflow) -> None:
    for _ in range(ROUNDS):
        run = start(flow, {})
        step = run.steps.get(name="prices")
        StepRow.objects.filter(pk=step.pk).update(due_at=Now() - timedelta(seconds=1))

        came, late = at_once(partial(give, run.pk, "prices", {"price": 1}), partial(expire, step))

        if isinstance(came, ReceivedSignal):
            assert (late, state(run)) == (False, StepState.OK)
        else:
            assert isinstance(came, SignalClosed)
            assert (late, state(run)) == (True, StepState.ERROR)
            assert not ReceivedSignal.objects.filter(run=run).exists()


def test_of_an_arrival_and_a_cancel_one_counts(flow: Workflow) -> None:
    for _ in range(ROUNDS):
        run = start(flow, {})

        came, cancelled = at_once(
            partial(give, run.pk, "prices", {"price": 1}), partial(cancel, run.pk)
        )

        assert not isinstance(cancelled, RunEnded)
        run.refresh_from_db()
        assert run.state == "REVOKED"
        expected = StepState.OK if isinstance(came, ReceivedSignal) else StepState.CANCELLED
        assert state(run) == expected
        assert isinstance(came, ReceivedSignal | SignalClosed)
        assert run.steps.get(name="merge").state == StepState.CANCELLED


def test_of_an_arrival_and_a_close_one_counts(flow: Workflow) -> None:
    for _ in range(ROUNDS):
        run = start(flow, {})

        came, closed = at_once(
            partial(give, run.pk, "prices", {"price": 1}), partial(close, run.pk, "prices")
        )

        if isinstance(came, ReceivedSignal):
            assert isinstance(closed, SignalGiven)
            assert state(run) == StepState.OK
        else:
            assert isinstance(came, SignalClosed)
            assert state(run) == StepState.SKIPPED


class Page(serializers.Serializer[Any]):
    a = serializers.IntegerField()
    b = serializers.IntegerField(default=1)


def test_what_comes_beside_the_ends_and_the_close_is_worked_off_or_refused(fleet: Fleet) -> None:
    """No tick runs, so whatever is missed stays undone."""
    pages = Signal("page", params=Page)
    each = Map(tasks.divide, name="each", over=pages, max_active=2, key="a", after=())
    flow = Workflow("mapped", steps=[each])
    workers = [threading.Thread(target=fleet.work) for _ in range(4)]
    for thread in workers:
        thread.start()
    try:
        for _ in range(ROUNDS):
            run = start(flow, {})

            def give_some(first: int, run: Run = run) -> list[Any]:
                taken = []
                for number in range(first, first + 12):
                    try:
                        taken.append(give(run.pk, "page", {"a": number}))
                    except SignalClosed:
                        break
                return taken

            def close_soon(run: Run = run) -> None:
                came = ReceivedSignal.objects.filter(run=run)
                until("some have come", lambda: came.count() > 8)
                close(run.pk, "page")

            found = at_once(*(partial(give_some, 100 * n) for n in range(3)), close_soon)

            ended(run)
            taken = [came for some in found[:3] for came in some]
            rows = Item.objects.filter(step__run=run)
            assert (run.state, fleet.errors) == ("SUCCESS", [])
            assert {came.key for came in taken} == {row.key for row in rows}
            assert set(rows.values_list("state", flat=True)) == {"OK"}
            assert run.steps.get(name="page").result == {"count": len(taken)}
            assert run.steps.get(name="each").item_total == len(taken)
            assert fleet.most_at_once <= 2
    finally:
        fleet.stop()
        for thread in workers:
            thread.join(TIMEOUT)


def test_the_same_item_at_once_is_one_item(own_registry: None) -> None:
    pages = Signal("page", params=Page)
    run = start(Workflow("raced", steps=[Map(tasks.divide, name="each", over=pages, key="a")]), {})

    found = at_once(*[lambda: give(run.pk, "page", {"a": 1})] * 4)

    assert len({each.pk for each in found}) == 1
    assert Item.objects.filter(step__run=run).count() == 1


def test_those_without_a_key_are_as_many_items_as_came(own_registry: None) -> None:
    pages = Signal("page", params=Page)
    run = start(Workflow("raced", steps=[Map(tasks.divide, name="each", over=pages)]), {})

    at_once(*[lambda: give(run.pk, "page", {"a": 1})] * 4)

    keys = Item.objects.filter(step__run=run).order_by("index").values_list("key", flat=True)
    assert list(keys) == ["0", "1", "2", "3"]
    assert run.steps.get(name="each").item_total == 4
