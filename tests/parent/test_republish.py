"""Given messages that may be lost, as many are sent again as are missing, and no more."""

from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now

from parent.models import Executor, Step
from parent.publish import publish_steps, republish_after
from parent.start import start
from parent.tick import Ticker
from tests.conftest import use_broker
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticker() -> Ticker:
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass
    return ticker


def queued() -> Step:
    """A step whose message nobody has sent: its process died between commit and publishing."""
    run = start(workflows.noops, {})
    return Step.objects.get(run=run, index=0)


def messages() -> int:
    with current_app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue="celery").message_count)


def make_due() -> None:
    Step.objects.filter(state="QUEUED").update(due_at=Now())


def test_nothing_is_sent_again_before_it_is_due(broker: str, ticker: Ticker) -> None:
    queued()

    ticker.tick()

    assert messages() == 0


def test_a_message_that_was_never_sent_is_sent_when_due(broker: str, ticker: Ticker) -> None:
    step = queued()
    make_due()

    ticker.tick()

    assert messages() == 1
    step.refresh_from_db()
    assert step.publishes == 2
    assert step.due_at is not None
    assert step.queued_at is not None
    assert step.due_at > step.queued_at


def test_a_long_queue_that_has_lost_nothing_gets_nothing(broker: str, ticker: Ticker) -> None:
    steps = [queued() for _ in range(20)]
    publish_steps(steps)
    for _ in range(5):
        make_due()
        ticker.tick()

    assert messages() == 20


def test_only_as_many_are_sent_as_are_missing(broker: str, ticker: Ticker) -> None:
    steps = [queued() for _ in range(20)]
    publish_steps(steps[:15])
    make_due()

    ticker.tick()

    assert messages() == 20


def test_a_broker_that_is_away_is_no_reason_to_fail(ticker: Ticker, broker: str) -> None:
    queued()
    make_due()
    use_broker("redis://127.0.0.1:1")

    assert ticker.tick()
    use_broker(broker)
    make_due()
    ticker.tick()

    assert messages() == 1


def test_the_delay_grows_to_a_limit() -> None:
    assert [republish_after(n).total_seconds() for n in (0, 1, 2, 3, 100)] == [5, 10, 20, 30, 30]
