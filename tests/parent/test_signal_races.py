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

from parent import Signal, Step, Workflow
from parent.errors import RunEnded, SignalClosed, SignalGiven
from parent.models import Event, ReceivedSignal, Run, StepState
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.signals.expire import expire
from parent.runs.signals.give import close, give
from parent.runs.start import start
from tests.flows import tasks

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
