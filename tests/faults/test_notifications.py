"""A receiver that is dead, and a worker that is killed while it delivers: nothing is lost."""

import os
import signal
from collections.abc import Iterator

import pytest

from parent.models import Delivery, NotificationRule, Run
from tests.faults.conftest import StartWorker, until_watched
from tests.flows import workflows
from tests.notifications.conftest import SECRET, make_due
from tests.notifications.receiver import Receiver, hangs, receiver, says
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

HERE = {"WORKFLOW_WEBHOOK_ALLOW_PRIVATE": "on", "WORKFLOW_NOTIFICATION_TIMEOUT": "25"}


@pytest.fixture
def dead(transactional_db: None) -> Iterator[Receiver]:
    """A receiver that answers nothing, of all workflows' ends."""
    with receiver() as here:
        here.answers = [hangs(here)]
        NotificationRule.objects.create(
            kind="webhook", on=["succeeded"], url=here.url, secret=SECRET
        )
        yield here


def done(number: int) -> bool:
    return Run.objects.filter(state="SUCCESS").count() == number


def test_runs_and_other_receivers_go_on_beside_a_dead_one(
    start_worker: StartWorker, dead: Receiver
) -> None:
    start_worker(**HERE)
    until_watched()
    workflows.noops.start()
    assert dead.posts.get(timeout=PATIENCE)

    with receiver() as well:
        NotificationRule.objects.create(
            kind="webhook", on=["succeeded"], url=well.url, secret=SECRET
        )
        workflows.noops.start_many([{}] * 5)
        until("the runs", lambda: done(6))
        ids = {well.posts.get(timeout=PATIENCE).headers["webhook-id"] for _ in range(5)}

    assert len(ids) == 5
    assert dead.posts.empty()  # its first message still waits for an answer
    waiting = Delivery.objects.filter(target=dead.url)
    assert set(waiting.values_list("state", flat=True)) == {"waiting"}
    assert waiting.count() == 6


def test_what_a_killed_worker_was_delivering_another_delivers_under_the_same_id(
    start_worker: StartWorker, dead: Receiver
) -> None:
    first = start_worker(**HERE)
    until_watched()
    run = workflows.noops.start()
    before = dead.posts.get(timeout=PATIENCE)
    os.killpg(first.process.pid, signal.SIGKILL)
    dead.answers = [says(200)]

    start_worker(**HERE)
    make_due()  # as when the claim has lapsed
    after = dead.posts.get(timeout=PATIENCE)

    assert after.headers["webhook-id"] == before.headers["webhook-id"]
    assert after.body == before.body
    row = run.deliveries.get()
    until("the outcome", lambda: Delivery.objects.get().state == "delivered")
    row.refresh_from_db()
    assert row.attempts == 2
