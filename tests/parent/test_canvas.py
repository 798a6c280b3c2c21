"""What follows a run on Celery's canvas is due from the run's end until it is sent."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from celery.app.task import Context
from django.db.models.functions import Now

from parent.errors import WorkflowError
from parent.models import Executor, Run, RunState
from parent.runs.following.canvas import follow_up_of, send_follow_up
from parent.runs.start import start
from parent.watch.tick import Ticker
from tests.conftest import use_broker
from tests.flows import canvas
from tests.parent.test_republish import messages

pytestmark = pytest.mark.django_db


def ended(**request: Any) -> Run:
    """A run that has ended, whose message was not sent: its process died after the commit."""
    follow_up = follow_up_of(Context(request))
    run = start(canvas.no_inputs, {}, run_id=uuid4(), follow_up=follow_up)
    assert run.state == RunState.FAILURE
    return run


def linked() -> Run:
    return ended(errbacks=[canvas.note_failed_id.s()])


def test_a_run_that_nothing_follows_is_not_due() -> None:
    run = ended()
    assert (run.follow_up, run.due_at) == (None, None)


def test_a_message_that_was_never_sent_is_sent_by_a_tick(broker: str) -> None:
    run = linked()
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass
    assert messages() == 0  # it is not due yet

    Run.objects.update(due_at=Now())
    ticker.tick()

    assert messages() == 1
    run.refresh_from_db()
    assert run.state == RunState.FAILURE
    assert run.due_at is not None


def test_it_is_sent_once(broker: str) -> None:
    run = linked()
    send_follow_up(run.pk)
    send_follow_up(run.pk)

    run.refresh_from_db()
    assert (messages(), run.follow_up, run.due_at) == (1, None, None)


def test_while_one_worker_sends_it_another_does_not(broker: str) -> None:
    run = linked()
    Run.objects.update(due_at=Now() + timedelta(seconds=120))

    send_follow_up(run.pk)

    assert messages() == 0


def test_a_broker_that_is_away_delays_it(broker: str) -> None:
    run = linked()
    use_broker("redis://127.0.0.1:1")
    send_follow_up(run.pk)
    use_broker(broker)
    run.refresh_from_db()
    assert run.follow_up

    send_follow_up(run.pk)

    assert messages() == 1


def test_what_is_no_json_is_refused_at_the_start() -> None:
    request = Context(callbacks=[canvas.note.s(object())])
    with pytest.raises(WorkflowError, match="Give its links and its chain JSON values"):
        follow_up_of(request)


def test_a_task_that_is_not_registered_here_is_sent_by_its_name(broker: str) -> None:
    errback = current_app.signature("shop.elsewhere")
    send_follow_up(ended(errbacks=[errback]).pk)
    assert messages() == 1
