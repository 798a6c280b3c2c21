"""A process claims the step that follows, or publishes it."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from children import Meta, host
from parent import Step as StepDefinition
from parent import Workflow
from parent.decisions.time_slices import LastSlice
from parent.definition.workflow import registry
from parent.messages import publish
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, RunState, Step, StepState
from parent.runs.endings import Ending, record
from parent.runs.following import hand_over
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.store import leases
from parent.worker import running_attempt
from parent.worker.running_attempt import RunningAttempt
from tests.flows import tasks

pytestmark = pytest.mark.django_db


def a_delivery(**changed: Any) -> host.Delivery:
    fields: dict[str, Any] = {
        "taken_at": time.monotonic() + 3_600,  # however long the test takes
        "excluded": frozenset(),
        "is_stopping": lambda: False,
        "follower_seconds": lambda: 0.0,
    }
    return host.Delivery(id="the-message", **(fields | changed))


@pytest.fixture
def run_of() -> Iterator[Callable[..., Run]]:
    """A function that starts a run of these steps."""

    def start_one(*steps: StepDefinition) -> Run:
        return start(Workflow("handed", steps=steps), {})

    yield start_one
    registry._workflows.pop("handed", None)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Executor:
    row = Executor.objects.create(host="here", pid=7)
    monkeypatch.setattr(leases, "_this", row.pk)
    monkeypatch.setattr(hand_over, "_look", hand_over._Look())
    monkeypatch.setattr(hand_over, "_last_slice", LastSlice())
    return row


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the published attempts."""
    sent: list[str] = []

    def send(name: str, task_id: str, *_: Any, **__: Any) -> bool:
        sent.append(task_id)
        return True

    monkeypatch.setattr(publish, "_send", send)
    return sent


def begun(run: Run, delivery: host.Delivery | None) -> RunningAttempt:
    """The first step of the run, claimed by a message."""
    step = run.steps.select_related("run").get(index=0)
    attempt = RunningAttempt(str(step.task_id), attempt_header(step), delivery=delivery)
    assert attempt.claim()
    return attempt


head = partial(StepDefinition, tasks.noop, name="head")
tail = partial(StepDefinition, tasks.noop, name="tail")


def test_the_process_that_ends_a_child_claims_the_next(
    run_of: Callable[..., Run],
    here: Executor,
    published: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    run = run_of(head(), tail(run_timeout=0.25))
    attempt = begun(run, a_delivery())

    with django_capture_on_commit_callbacks(execute=True):
        attempt.finish(Meta().ok(None))

    follower = attempt.follower
    step = run.steps.get(name="tail")
    assert follower is not None
    assert (follower.task.name, follower.task_id) == ("flows.noop", step.task_id)
    assert follower.headers[host.HEADER]["step"] == "tail"
    assert (step.state, step.executor, step.attempt) == (StepState.RUNNING, here, 1)
    assert (step.message_id, step.carrier_id) == ("the-message", "the-message")
    assert step.started_at is not None
    assert step.due_at == step.started_at + timedelta(seconds=0.25)
    assert published == []

    second = follower.begin()
    second.report(Meta.at(1, 2))
    assert second.finish(Meta().ok(7))
    run.refresh_from_db()
    assert (run.state, run.result, second.follower) == (RunState.SUCCESS, 7, None)


REASONS = [
    pytest.param(tail(), {}, {"TIME_SLICE": 0}, id="off"),
    pytest.param(tail(), {"taken_at": -10.0}, {}, id="the slice is used up"),
    pytest.param(tail(), {"is_stopping": lambda: True}, {}, id="the worker stops"),
    pytest.param(tail(), {"excluded": frozenset({"flows.noop"})}, {}, id="the task has limits"),
    pytest.param(tail(queue="other"), {}, {}, id="another queue"),
    pytest.param(tail(priority=9), {}, {}, id="another priority"),
    pytest.param(StepDefinition("flows.foreign_fails", name="tail"), {}, {}, id="a foreign task"),
    pytest.param(StepDefinition("nobody.knows", name="tail"), {}, {}, id="an unknown task"),
]


@pytest.mark.parametrize(("following", "changed", "set_to"), REASONS)
def test_otherwise_the_next_is_published(
    run_of: Callable[..., Run],
    published: list[str],
    settings: Any,
    django_capture_on_commit_callbacks: Any,
    following: StepDefinition,
    changed: dict[str, Any],
    set_to: dict[str, Any],
) -> None:
    for name, value in set_to.items():
        setattr(settings, f"WORKFLOW_{name}", value)
    if "taken_at" in changed:
        changed = {"taken_at": time.monotonic() + changed["taken_at"]}
    run = run_of(head(), following)
    attempt = begun(run, a_delivery(**changed))

    with django_capture_on_commit_callbacks(execute=True):
        attempt.finish(Meta().ok(None))

    step = run.steps.get(name="tail")
    assert attempt.follower is None
    assert (step.state, step.message_id) == (StepState.QUEUED, None)
    assert published == [step.task_id]


def test_a_failure_hands_over_nothing(run_of: Callable[..., Run], published: list[str]) -> None:
    run = run_of(head(), tail())
    attempt = begun(run, a_delivery())

    attempt.finish(Meta().failed("broken"))

    assert attempt.follower is None
    assert run.steps.get(name="tail").state == StepState.SKIPPED


def test_of_several_that_open_one_follows_and_the_others_are_published(
    run_of: Callable[..., Run], published: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    names = ("left", "middle", "right")
    run = run_of(head(), *(StepDefinition(tasks.noop, name=name, after=["head"]) for name in names))
    attempt = begun(run, a_delivery())

    with django_capture_on_commit_callbacks(execute=True):
        attempt.finish(Meta().ok(None))

    ids = {step.name: step.task_id for step in run.steps.all()}
    assert attempt.follower is not None
    assert attempt.follower.task_id == ids["left"]
    assert published == [ids["middle"], ids["right"]]


@pytest.mark.parametrize(
    ("followers", "waited", "queue", "goes_on"),
    [
        pytest.param([(3, 0.0)], 60, None, True, id="followers took nothing"),
        pytest.param([(3, 0.0), (1, 0.4)], 60, None, True, id="less than a slice"),
        pytest.param([(3, 0.0), (1, 0.6)], 60, None, False, id="a slice since it came"),
        pytest.param([(3, 0.0), (2.5, 0.6)], 1, None, True, id="a slice before it came"),
        pytest.param([(9, 7.0), (3, 7.0), (1, 7.6)], 5, None, False, id="again a slice"),
        pytest.param([(9, 0.0), (8, 7.0), (3, 7.1)], 5, None, True, id="a little since it came"),
        pytest.param([(3, 0.0), (1, 0.6)], 60, "that-nobody-consumes", True, id="another queue"),
        pytest.param([(3, 0.0), (1, 0.6)], -60, None, True, id="it waits for its time"),
    ],
)
def test_runs_that_have_not_begun_go_first_after_one_slice(
    run_of: Callable[..., Run],
    published: list[str],
    followers: list[tuple[float, float]],
    waited: float,
    queue: str | None,
    goes_on: bool,
) -> None:
    """`followers`: so many seconds ago, what they had taken of this process in all."""
    run = run_of(head(), tail())
    for ago, total in followers:
        hand_over._last_slice.since(0.5, time.monotonic() - ago, total)
    attempt = begun(run, a_delivery(follower_seconds=lambda: followers[-1][1]))
    Run.objects.filter(pk=run.pk).update(state=RunState.STARTED)
    other = run_of(head(queue=queue), tail())
    Step.objects.filter(run=other, index=0).update(queued_at=Now() - timedelta(seconds=waited))

    attempt.finish(Meta().ok(None))

    assert (attempt.follower is not None) == goes_on


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_looked_like_a_failure_still_hands_over(
    run_of: Callable[..., Run], published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(head(), tail())
    attempt = begun(run, a_delivery())
    calls: list[Ending] = []

    def record_and_break(*args: Any, **options: Any) -> Any:
        ending = record(*args, **options)
        calls.append(ending)
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return ending

    monkeypatch.setattr(running_attempt, "record", record_and_break)

    attempt.finish(Meta().ok(None))

    assert [bool(ending) for ending in calls] == [True, False]
    assert attempt.follower is not None
    assert run.steps.get(name="tail").claim is not None


def test_a_retry_of_a_follower_forgets_its_message(
    run_of: Callable[..., Run], published: list[str]
) -> None:
    run = run_of(head(), tail(retries=1))
    attempt = begun(run, a_delivery())
    attempt.finish(Meta().ok(None))
    assert attempt.follower is not None

    assert not attempt.follower.begin().finish(Meta().failed("broken"), error=ValueError("broken"))

    step = run.steps.get(name="tail")
    assert (step.state, step.attempt, step.message_id) == (StepState.QUEUED, 2, None)
    assert (step.claim, step.executor) == (None, None)


def test_a_follower_of_a_step_that_ran_again_has_no_checkpoint(
    run_of: Callable[..., Run], published: list[str]
) -> None:
    run = run_of(head(), tail())
    attempt = begun(run, a_delivery())
    attempt.finish(Meta().ok(None))
    assert attempt.follower is not None
    first = attempt.follower.begin()
    first.report(Meta.at(1, 2), {"done": 1})
    first.finish(Meta().failed("broken"))
    assert run.steps.get(name="tail").checkpoint == {"done": 1}

    retry(run.pk, step="head")
    again = begun(run, a_delivery())
    again.finish(Meta().ok(None))

    assert again.follower is not None
    assert again.follower.begin().checkpoint is None
    tail_row = run.steps.get(name="tail")
    assert (tail_row.attempt, tail_row.checkpoint) == (2, None)
    assert tail_row.claim is not None
