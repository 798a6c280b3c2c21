"""Of messages that may be lost, as many are published again as are missing, and no more."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.db.models.functions import Now
from kombu.transport.virtual import Channel

from parent.messages.broker_memory import BrokerMemory
from parent.messages.publish import publish_steps, republish_after
from parent.models import Executor, Step
from parent.runs.start import start
from parent.watch.republish import Republisher
from parent.watch.tick import Ticker
from tests.conftest import use_broker
from tests.flows import workflows
from tests.flows.tasks import gates

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticker() -> Ticker:
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass
    return ticker


def queued() -> Step:
    """A step whose message was never sent: its process died between commit and publishing."""
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
    assert step.publish_count == 2
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


def test_a_queue_is_declared_as_celery_declares_it(
    broker: str, ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An AMQP broker closes the channel if a queue is declared differently."""
    declared: list[tuple[Any, ...]] = []
    declare = Channel.queue_declare

    def note(self: Any, queue: str, **options: Any) -> Any:
        declared.append((queue, options["durable"], options["auto_delete"]))
        return declare(self, queue, **options)

    monkeypatch.setattr(Channel, "queue_declare", note)
    queued()
    make_due()

    ticker.tick()  # asks, and publishes
    assert len(declared) > 1
    assert {*declared} == {("celery", True, False)}


def test_only_as_many_are_sent_as_are_missing(broker: str, ticker: Ticker) -> None:
    steps = [queued() for _ in range(20)]
    publish_steps(steps[:15])
    make_due()

    ticker.tick()

    assert messages() == 20


def test_a_broker_that_is_away_is_no_reason_to_fail(
    ticker: Ticker, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    queued()
    make_due()
    use_broker("redis://127.0.0.1:1")
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)

    assert ticker.tick()
    assert not any(slept), "a tick slept until the broker would answer"
    use_broker(broker)
    make_due()
    ticker.tick()

    assert messages() == 1


def test_an_emptied_broker_is_noticed_by_the_next_tick(broker: str, ticker: Ticker) -> None:
    steps = [queued() for _ in range(20)]
    publish_steps(steps)
    ticker.tick()
    gates().flushall()

    ticker.tick()
    assert messages() == 20
    for _ in range(3):
        ticker.tick()

    assert messages() == 20
    assert {step.publish_count for step in Step.objects.filter(state="QUEUED")} == {2}


def test_so_is_one_that_came_back_with_what_it_held_a_while_ago(
    broker: str, ticker: Ticker
) -> None:
    ticker.tick()
    held: Any = {key: gates().dump(key) for key in gates().keys("*")}
    step = queued()
    publish_steps([step])
    ticker.tick()

    gates().flushall()
    for key, value in held.items():
        gates().restore(key, 0, value)
    ticker.tick()

    assert messages() == 1


def test_so_is_one_that_was_emptied_before_there_was_a_watcher(broker: str) -> None:
    queued()
    ticker = Ticker(Executor.objects.create(host="here", pid=2).pk)

    while not ticker.tick():
        pass

    assert messages() == 1


def test_a_broker_that_has_kept_everything_is_not_counted(
    broker: str, ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would cost a statement and a connection at every tick."""
    ticker.tick()
    counted: list[None] = []
    monkeypatch.setattr(Republisher, "mark_due", lambda _: counted.append(None))

    for _ in range(3):
        ticker.tick()
    assert not counted
    gates().flushall()
    ticker.tick()

    assert counted


def test_of_a_broker_that_is_not_redis_nothing_is_said(broker: str, ticker: Ticker) -> None:
    use_broker("memory://")
    steps = [queued() for _ in range(3)]
    publish_steps(steps[:2])

    for _ in range(3):
        ticker.tick()

    assert messages() == 2


def test_a_retry_whose_time_has_not_come_is_not_sent_for_that(broker: str, ticker: Ticker) -> None:
    publish_steps([queued()])
    Step.objects.update(publish_count=0, due_at=Now() + timedelta(hours=1))
    gates().flushall()

    ticker.tick()

    assert messages() == 0


def test_a_silent_broker_takes_a_tenth_of_the_time_at_most(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = 1000.0, []

    def silent(*_: Any, **__: Any) -> None:
        nonlocal now
        asked.append(now)
        now += 2.0
        raise TimeoutError("nobody answered")

    monkeypatch.setattr("kombu.Connection.ensure_connection", silent)
    monkeypatch.setattr("time.monotonic", lambda: now)
    memory = BrokerMemory(uuid4())

    for _ in range(100):
        assert not memory.may_have_lost_messages()
        now += 0.5

    assert len(asked) == 3


def test_the_delay_grows_to_a_limit() -> None:
    assert [republish_after(n).total_seconds() for n in (0, 1, 2, 3, 100)] == [5, 10, 20, 30, 30]
