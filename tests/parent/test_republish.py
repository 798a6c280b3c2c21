"""Given messages that may be lost, as many are sent again as are missing, and no more."""

from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now

from parent.advance import begin
from parent.models import Executor, Run, Step
from parent.publish import publish_run, publish_steps, republish_after
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
    run = start(workflows.noops, {}, publish=False)
    begin(run.pk)
    return Step.objects.get(run=run, index=0)


def messages() -> int:
    with current_app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue="celery").message_count)


def make_due() -> None:
    Step.objects.filter(state="QUEUED").update(due_at=Now())
    Run.objects.filter(state="PENDING").update(due_at=Now())


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


def test_a_parents_lost_message_is_sent_again(broker: str, ticker: Ticker) -> None:
    run = start(workflows.noops, {}, publish=False)
    make_due()

    ticker.tick()
    make_due()
    ticker.tick()

    assert messages() == 1
    assert Run.objects.get(pk=run.pk).publishes == 3


def test_parents_and_children_in_one_queue_are_counted_together(
    broker: str, ticker: Ticker
) -> None:
    publish_steps([queued()])
    publish_run(start(workflows.noops, {}, publish=False))
    make_due()

    ticker.tick()

    assert messages() == 2


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


def test_a_run_that_nobody_begins_ends_with_the_likely_cause(ticker: Ticker, broker: str) -> None:
    run = start(workflows.noops, {}, publish=False)
    Run.objects.filter(pk=run.pk).update(created_at=run.created_at.replace(year=2020), due_at=Now())

    ticker.tick()

    run.refresh_from_db()
    assert run.error == ('noops did not start within 600 s: is a worker consuming queue "celery"?')
