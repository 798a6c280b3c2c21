"""The body of a foreign task runs once for each attempt, whatever its worker holds."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now

from parent.messages.publish import publish_steps
from parent.models import Run, RunState, Step, StepState, Tally
from tests.conftest import use_broker
from tests.faults.conftest import Gate, StartWorker
from tests.faults.invariants import assert_sound
from tests.flows.faults import MARKS
from tests.flows.foreign_tasks import ENDINGS, HELD
from tests.flows.tasks import gates
from tests.waiting import ended, until

RUNS = 10
PREFETCHED = 8  # four for each of two slots
LOST = 5
CHECKS = 4


@pytest.fixture(params=["redis", "rabbitmq"])
def environ(
    request: pytest.FixtureRequest, broker: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """A worker's environment on each broker, with Celery's default prefetch."""
    settings, options = {"PREFETCH": "on"}, current_app.conf.broker_transport_options
    if request.param == "rabbitmq":
        url = request.getfixturevalue("rabbitmq")
        use_broker(url)
        settings |= {"AMQP_URL": url, "GATES_URL": broker}
        monkeypatch.setenv("GATES_URL", broker)
        current_app.conf.broker_transport_options = {}
        _purge()
    yield settings
    current_app.conf.broker_transport_options = options


def _purge() -> None:
    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        _declare(channel)
        channel.queue_purge("celery")


def _messages() -> int:
    with current_app.connection_for_write() as connection:
        return int(_declare(connection.default_channel).message_count)


def _declare(channel: Any) -> Any:
    return channel.queue_declare(queue="celery", durable=True, auto_delete=False)


def checked_again() -> None:
    """Let ticks look for lost messages a few times."""

    def checked() -> bool:
        queued = Step.objects.filter(state=StepState.QUEUED)
        queued.filter(publish_count__lt=CHECKS).update(due_at=Now())
        return not queued.filter(publish_count__lt=CHECKS).exists()

    until(f"{CHECKS} checks of each message", checked, every=0.3)


def republished() -> float:
    """How many messages the ended workers counted as sent again."""
    figures = Tally.objects.values_list("figures", flat=True).first() or {}
    counted = figures.get("workflow_messages_republished", {})
    return sum(sum(figure) for figure in counted.values())


def bodies_of(run: Run) -> dict[str, int]:
    """How often the body of each attempt of the run began."""
    marks = (json.loads(line) for line in gates().lrange(MARKS, 0, -1))
    return Counter(
        attempt for run_id, _, attempt, what in marks if (run_id, what) == (str(run.pk), "begins")
    )


@pytest.mark.parametrize("how", HELD)
def test_what_a_worker_has_received_is_not_sent_again(
    start_worker: StartWorker, environ: dict[str, str], gate: Gate, how: str
) -> None:
    worker = start_worker("prefork", slots=2, **environ)
    runs = [HELD[how].start(gate=gate.name) for _ in range(RUNS)]
    if how != "eta":
        gate.reached()

    checked_again()
    for _ in runs:
        gate.open()

    for run in runs:
        assert ended(run).state == RunState.SUCCESS
        assert bodies_of(run) == {str(run.steps.get().task_id): 1}
    assert_sound(*runs)
    worker.stop()
    assert republished() == 0


def test_a_message_that_is_lost_is_sent_again(
    start_worker: StartWorker, environ: dict[str, str], gate: Gate
) -> None:
    """Beside messages that a worker has received."""
    start_worker("prefork", slots=2, **environ)
    runs = [HELD["prefetched"].start(gate=gate.name) for _ in range(2 + PREFETCHED + LOST)]
    gate.reached()
    received = Step.objects.filter(state=StepState.QUEUED, received_by__isnull=False)
    until("the worker's messages", lambda: received.count() == PREFETCHED)
    assert _messages() == LOST
    _purge()

    Step.objects.filter(state=StepState.QUEUED).update(due_at=Now())
    until("what was lost", lambda: _messages() == LOST)
    for _ in runs:
        gate.open()

    for run in runs:
        assert ended(run).state == RunState.SUCCESS
        assert bodies_of(run) == {str(run.steps.get().task_id): 1}


def test_what_a_killed_worker_had_received_is_sent_again(
    start_worker: StartWorker, environ: dict[str, str], gate: Gate
) -> None:
    """On Redis such messages are hidden for an hour."""
    worker = start_worker("prefork", slots=1, **environ)
    runs = [HELD["prefetched"].start(gate=gate.name) for _ in range(3)]
    gate.reached()
    until(
        "the worker's messages", lambda: Step.objects.filter(received_by__isnull=False).count() > 1
    )
    worker.kill()

    start_worker("prefork", slots=1, **environ)
    for _ in runs:
        gate.open()

    def all_ended() -> bool:
        Step.objects.filter(state=StepState.QUEUED).update(due_at=Now())
        return not Run.objects.filter(finished_at=None).exists()

    until("the ends", all_ended, timeout=60, every=0.3)
    assert {n for run in runs for n in bodies_of(run).values()} == {1}
    states = Counter(Run.objects.values_list("state", flat=True))
    assert states == {"SUCCESS": 2, "FAILURE": 1}


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("how", ["prefetched", "acks_late"])
def test_a_message_that_comes_twice_runs_the_body_once(
    start_worker: StartWorker, broker: str, gate: Gate, how: str, pool: str
) -> None:
    worker = start_worker(pool, slots=2)
    run = HELD[how].start(gate=gate.name)
    gate.reached()

    publish_steps(list(run.steps.select_related("run")))
    worker.wait_for("dropped: a duplicate delivery")
    assert run.steps.get().state == StepState.RUNNING
    gate.open()

    assert ended(run).state == RunState.SUCCESS
    assert bodies_of(run) == {str(run.steps.get().task_id): 1}
    assert_sound(run)


ENDS = {
    "foreign.ignores": ("Error in ignores: the task raised Ignore: no result", 1),
    "foreign.stores_and_ignores": ("Error in stores_and_ignores: no paper", 1),
    "foreign.rejects": ("Error in rejects: the task raised Reject: no result", 1),
    "foreign.rejects_once": (None, 2),
    "foreign.retries": (None, 3),
    "foreign.dies": ("dies: the worker process died while running it", 1),
    "foreign.hangs": ("it did not finish within its hard time limit of 1 s", 1),
}


def test_however_a_foreign_task_ends_its_step_ends(start_worker: StartWorker, broker: str) -> None:
    start_worker("prefork", slots=2)
    runs = {name: workflow.start() for name, workflow in ENDINGS.items()}

    for name, run in runs.items():
        error, began = ENDS[name]
        ended(run)
        assert (error or "None") in str(run.error), name
        assert bodies_of(run) == {str(run.steps.get().task_id): began}, name
