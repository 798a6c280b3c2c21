"""Given a worker that stops, dies, or has lost the database, its attempts end once."""

from datetime import timedelta
from typing import Any

import pytest
from celery.worker import state as worker_state
from django.db import OperationalError
from django.db.models.functions import Now

from children.meta import Meta
from parent.definition.workflow import registry
from parent.models import Attempt, Executor, Run, Step
from parent.runs.advance import continue_run
from parent.runs.endings import end_run
from parent.watch.tick import Ticker
from parent.worker import bootstep
from parent.worker.host import Lost, lost_attempts
from parent.worker.shutdown import hand_back
from tests.parent.conftest import claimed, one

pytestmark = pytest.mark.django_db


def test_a_worker_that_stops_hands_back_what_may_run_again(
    started: Any, executor: Executor
) -> None:
    run = started(retries=1)
    attempt = claimed(run)

    hand_back(executor.pk)

    step = one(run)
    # Published by another worker's tick, after this process has exited.
    assert (step.state, step.attempt, step.retries_used, step.publish_count) == ("QUEUED", 2, 0, 0)
    assert "was shut down while running it" in Attempt.objects.get().error
    assert attempt.finish(Meta().ok("too late"))
    assert one(run).state == "QUEUED"


def test_a_worker_that_stops_gives_up_what_may_not(started: Any, executor: Executor) -> None:
    run = started()
    claimed(run)

    hand_back(executor.pk)

    error = one(run).error
    assert error is not None
    assert error.endswith("was shut down while running it")


def test_a_run_that_has_gone_on_since_it_was_found_overdue_does_not_end(started: Any) -> None:
    run = started()
    attempt, workflow = claimed(run), registry._workflows.pop("attempted")
    attempt.finish(Meta().ok(None))
    run.refresh_from_db()
    registry.register(workflow)
    assert continue_run(run.pk)

    assert not end_run(run.pk, "overdue", expected_version=run.version)

    run.refresh_from_db()
    assert run.state == "PROGRESS"


def test_after_an_outage_of_the_database_every_lease_begins_anew(
    started: Any, executor: Executor
) -> None:
    run = started()
    claimed(run)
    Executor.objects.update(heartbeat_at=Now() - timedelta(seconds=100))
    ticker = Ticker(executor.pk)
    ticker.extend_leases()
    while not ticker.tick():
        pass
    assert one(run).state == "RUNNING"

    ticker._enforce_leases_from = 0
    ticker.tick()

    assert one(run).state == "ERROR"


def test_a_lost_attempt_is_not_forgotten_while_the_database_is_away(
    started: Any, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started()
    died = Lost(
        task_id=str(claimed(run).task_id), reason="the worker process died", process_died=True
    )
    lost_attempts.put(died)
    thread = bootstep.WatchThread(executor.pk, [], "prefork")

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(bootstep, "record", away)
        with pytest.raises(OperationalError):
            thread.turn()
    thread.turn()

    assert one(run).error == "one: the worker process died"
    assert lost_attempts.empty()


class Request:
    """A worker's request object for a message that its pool is running."""

    def __init__(self, task_id: str) -> None:
        self.id = task_id


def over(run: Run) -> Lost:
    return Lost(
        task_id=str(one(run).task_id),
        reason="its outcome could not be recorded",
        process_died=False,
    )


def test_a_step_is_ended_whose_message_is_over_and_whose_outcome_is_not_recorded(
    started: Any, executor: Executor
) -> None:
    run = started()
    claimed(run)
    lost_attempts.put(over(run))

    bootstep.WatchThread(executor.pk, [], "prefork").turn()

    assert one(run).error == "one: its outcome could not be recorded"


def test_the_second_message_of_an_attempt_that_still_runs_ends_nothing(
    started: Any, executor: Executor
) -> None:
    run = started()
    runs_on = Request(claimed(run).task_id)
    worker_state.active_requests.add(runs_on)
    lost_attempts.put(over(run))

    bootstep.WatchThread(executor.pk, [], "prefork").turn()

    assert one(run).state == "RUNNING"


def test_a_message_that_is_over_here_ends_nothing_that_runs_elsewhere(
    started: Any, executor: Executor
) -> None:
    run = started()
    claimed(run)
    other = Executor.objects.create(host="there", pid=8)
    Step.objects.filter(run=run).update(executor=other)
    lost_attempts.put(over(run))

    bootstep.WatchThread(executor.pk, [], "prefork").turn()

    assert one(run).state == "RUNNING"
