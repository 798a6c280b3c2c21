"""If the broker fails, runs wait and go on when it is back; nothing runs twice."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from parent.models import Run, RunState, Step, StepState
from tests.conftest import find_redis, use_broker
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound, bodies
from tests.faults.servers import OwnBroker
from tests.flows import faults, outages
from tests.flows.tasks import gates
from tests.waiting import ended as run_ended
from tests.waiting import until

ANSWERS_WITHIN = 8.0  # seconds, for a start while the broker is away


@pytest.fixture
def own_broker() -> Iterator[OwnBroker]:
    """A Redis server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = OwnBroker(find_redis(), Path(folder))
        yield server
        server.client.close()
        server.kill()


@pytest.fixture
def broker(broker_url: str, own_broker: OwnBroker, monkeypatch: pytest.MonkeyPatch) -> str:
    """That server for the messages, and the session's for the gates, which must stay."""
    monkeypatch.setenv("GATES_URL", broker_url)
    gates().flushall()
    use_broker(own_broker.url)
    return own_broker.url


def miss_messages() -> None:
    """Make the next tick check the messages of all queued steps, instead of in 5 to 30 s."""
    Step.objects.filter(state=StepState.QUEUED).update(due_at=Now())


def never_miss_messages() -> None:
    """Keep ticks from checking the messages of queued steps when they are due."""
    late = Now() + timedelta(hours=1)
    Step.objects.filter(state=StepState.QUEUED).update(due_at=late, queue_timeout=None)


def ended(runs: Sequence[Run]) -> list[Run]:
    """These runs, once they have ended."""

    def all_ended() -> list[Run] | None:
        miss_messages()
        now = list(Run.objects.filter(pk__in=[run.pk for run in runs]))
        return now if all(run.ended for run in now) else None

    return until("the end of all runs", all_ended)


def assert_each_ran_once(runs: Sequence[Run]) -> None:
    """Assert that all runs succeeded and that each step's body ran once."""
    assert {run.state for run in runs} == {RunState.SUCCESS}
    assert_sound(*runs)
    steps = Step.objects.filter(run__in=runs)
    assert {(step.attempt, step.retries_used) for step in steps} == {(1, 0)}
    began = [attempt for of_step in bodies().values() for attempt in of_step]
    assert sorted(began) == sorted(str(step.task_id) for step in steps)


def test_a_start_answers_while_the_broker_is_down(
    transactional_db: None, broker: str, own_broker: OwnBroker, start_worker: StartWorker
) -> None:
    outages.walk.start()  # so that there is a connection to lose
    own_broker.kill()
    begun = time.monotonic()

    run = outages.walk.start()

    assert time.monotonic() - begun < ANSWERS_WITHIN
    assert Step.objects.get(run=run, name="one").state == StepState.QUEUED
    own_broker.start()
    start_worker()
    assert_each_ran_once(ended(list(Run.objects.all())))


def test_a_start_answers_while_the_broker_does_not(
    transactional_db: None, broker: str, own_broker: OwnBroker, start_worker: StartWorker
) -> None:
    outages.walk.start()
    own_broker.freeze()
    begun = time.monotonic()

    run = outages.walk.start()

    assert time.monotonic() - begun < ANSWERS_WITHIN
    assert Step.objects.get(run=run, name="one").state == StepState.QUEUED
    own_broker.thaw()
    start_worker()
    assert_each_ran_once(ended(list(Run.objects.all())))


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_killed_and_restarted_empty(
    start_worker: StartWorker, gate: Gate, own_broker: OwnBroker, pool: str
) -> None:
    start_worker(pool)
    runs = [faults.held.start(gate=gate.name)]
    gate.reached()
    runs += [outages.walk.start() for _ in range(5)]  # their messages are lost

    own_broker.kill()
    gate.open()
    until("the finish of the child", lambda: Step.objects.filter(run=runs[0], state="OK"))
    own_broker.start()

    assert_each_ran_once(ended(runs))


def test_emptied(start_worker: StartWorker, gate: Gate, own_broker: OwnBroker) -> None:
    start_worker()
    runs = [faults.held.start(gate=gate.name)]
    gate.reached()
    runs += [outages.walk.start() for _ in range(5)]

    own_broker.empty()
    gate.open()

    assert_each_ran_once(ended(runs))


@pytest.mark.parametrize("how", ["emptied", "killed"])
def test_what_it_has_forgotten_is_sent_again_at_once(
    start_worker: StartWorker, gate: Gate, own_broker: OwnBroker, how: str
) -> None:
    """Not because it is due: `due_at` is set to never."""
    worker = start_worker()
    runs = [faults.held.start(gate=gate.name)]
    gate.reached()
    runs += [outages.walk.start() for _ in range(5)]
    never_miss_messages()

    if how == "killed":
        own_broker.kill()
        worker.wait_for("Trying to re-establish the connection")
        own_broker.start()
    else:
        own_broker.empty()
    until("what was lost", lambda: own_broker.client.llen("celery") == 5)
    gate.open()

    for run in runs:
        run_ended(run)
    assert_each_ran_once(list(Run.objects.all()))


def test_connections_cut_again_and_again(start_worker: StartWorker, own_broker: OwnBroker) -> None:
    for _ in range(2):
        start_worker(slots=2)
    runs = []
    for _ in range(5):
        runs += [outages.walk.start() for _ in range(4)]
        own_broker.cut()
        until("a beginning", bodies)

    assert_each_ran_once(ended(runs))


def test_silent_for_a_while(start_worker: StartWorker, gate: Gate, own_broker: OwnBroker) -> None:
    """Longer than a lease: running children do not need the broker."""
    worker = start_worker()
    runs = [faults.held.start(gate=gate.name), outages.walk.start()]
    gate.reached()
    miss_messages()

    own_broker.freeze()
    worker.wait_for("nothing is published again until it answers")
    gate.open()
    until("the finish of the child", lambda: Step.objects.filter(run=runs[0], state="OK"))
    own_broker.thaw()

    assert_each_ran_once(ended(runs))


def test_a_visibility_timeout_that_is_shorter_than_a_child(
    start_worker: StartWorker, gate: Gate, broker: str
) -> None:
    soon = {"visibility_timeout": 1, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    start_worker(TRANSPORT_OPTIONS=json.dumps(soon))
    run = outages.held_late.start(gate=gate.name)
    gate.reached()

    other = start_worker(TRANSPORT_OPTIONS=json.dumps(soon))
    other.wait_for("dropped: a duplicate delivery")
    gate.open()

    assert_each_ran_once(ended([run]))
