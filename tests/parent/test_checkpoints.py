"""A step's checkpoint: kept from attempt to attempt, and dropped where it is of other work."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from children import Progress, child_task
from children.errors import AttemptLost
from children.meta import Meta
from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.inline import run_inline
from parent.messages import publish
from parent.messages.publish import attempt_header
from parent.models import Executor, Run, Step
from parent.runs.automatic_retry import RetryDecision
from parent.runs.cancel import cancel
from parent.runs.endings import record
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.worker.host import ParentHost
from parent.worker.running_attempt import RunningAttempt
from parent.worker.shutdown import hand_back
from tests.flows import tasks
from tests.parent.conftest import claimed, fail, one

pytestmark = pytest.mark.django_db

KEPT = {"value": {"page": 3}, "done": [7]}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_workflows", {})
    with publish.publishing_off():
        yield


def reporting(run: Run) -> RunningAttempt:
    attempt = claimed(run)
    attempt.report(Meta.at(7, 10), KEPT)
    return attempt


def test_a_checkpoint_is_stored_in_the_statement_of_its_report(
    started: Callable[..., Run], executor: Executor
) -> None:
    run = started()
    attempt = claimed(run)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        attempt.report(Meta.at(7, 10), KEPT)

    assert len(queries) == 1
    assert (one(run).iteration, one(run).checkpoint) == (7, KEPT)
    attempt.report(Meta.at(8, 10))
    assert (one(run).iteration, one(run).checkpoint) == (8, KEPT)


def test_a_report_that_no_longer_counts_leaves_the_checkpoint(
    started: Callable[..., Run], executor: Executor
) -> None:
    run = started(retries=1)
    attempt = reporting(run)
    fail(attempt)
    with pytest.raises(AttemptLost):
        attempt.report(Meta.at(9, 10), {"value": "late", "done": []})

    assert claimed(run).checkpoint == KEPT


def lose(attempt: RunningAttempt) -> None:
    record("one", attempt.task_id, Meta().failed("killed"), retry=RetryDecision())


def stop_the_worker(attempt: RunningAttempt) -> None:
    executor = Step.objects.get(task_id=attempt.task_id).executor_id
    assert executor is not None
    hand_back(executor)


def fail_for_good(attempt: RunningAttempt) -> None:
    run = Step.objects.get(task_id=attempt.task_id).run_id
    Step.objects.filter(task_id=attempt.task_id).update(retries=0)
    fail(attempt)
    retry(run)


def fail_and_name_it(attempt: RunningAttempt) -> None:
    run = Step.objects.get(task_id=attempt.task_id).run_id
    Step.objects.filter(task_id=attempt.task_id).update(retries=0)
    fail(attempt)
    retry(run, step="one")


def cancel_and_retry(attempt: RunningAttempt) -> None:
    run = Step.objects.get(task_id=attempt.task_id).run_id
    cancel(run)
    attempt.abandon()
    retry(run)


@pytest.mark.parametrize(
    "end", [fail, lose, stop_the_worker, fail_for_good, fail_and_name_it, cancel_and_retry]
)
def test_the_next_attempt_has_the_checkpoint(
    started: Callable[..., Run], executor: Executor, end: Callable[[RunningAttempt], object]
) -> None:
    run = started(retries=2)
    end(reporting(run))

    assert one(run).state == "QUEUED"
    assert claimed(run).checkpoint == KEPT


def test_a_first_attempt_reads_nothing_for_it(
    started: Callable[..., Run], executor: Executor
) -> None:
    run = started()
    step = one(run)
    with CaptureQueriesContext(connection) as queries:
        attempt = ParentHost().claim(str(step.task_id), attempt_header(step))
    assert attempt is not None
    assert len(queries) == 1
    assert attempt.checkpoint is None


@pytest.mark.parametrize(
    ("options", "one_kept", "two_kept"),
    [
        ({}, True, True),
        ({"step": "two"}, True, True),
        ({"step": "two", "inputs": {"a": 1, "b": 1}}, True, False),
        ({"step": "two", "skip": True}, True, False),
        # `one` was OK and runs again; `two` comes after it.
        ({"step": "one"}, False, False),
    ],
)
def test_a_retry_by_hand_keeps_it_where_the_work_is_the_same(
    executor: Executor, options: dict[str, Any], one_kept: bool, two_kept: bool
) -> None:
    steps = [StepDefinition(tasks.noop, name="one"), StepDefinition(tasks.add, name="two")]
    inputs = {"one": lambda _: {}, "two": lambda _: {"a": 1, "b": 2}}
    steps = [StepDefinition(s.task, name=s.name, inputs=inputs[s.name]) for s in steps]
    run = start(Workflow("kept", steps=steps), {})
    reporting(run).finish(Meta().ok(None))
    two = Step.objects.select_related("run").get(run=run, name="two")
    attempt = ParentHost().claim(str(two.task_id), attempt_header(two))
    assert attempt is not None
    attempt.report(Meta.at(7, 10), KEPT)
    fail(attempt)

    retry(run.pk, **options)

    rows = {row.name: row.checkpoint for row in run.steps.all()}
    assert rows == {"one": KEPT if one_kept else None, "two": KEPT if two_kept else None}


def test_inputs_that_come_out_otherwise_drop_it(executor: Executor) -> None:
    given = {"a": 1, "b": (2,)}
    step = StepDefinition(tasks.add, name="one", inputs=lambda _: given)
    run = start(Workflow("kept", steps=[step]), {})
    fail(reporting(run))
    retry(run.pk)
    assert one(run).checkpoint == KEPT

    fail(claimed(run))
    given["a"] = 5
    retry(run.pk)
    assert one(run).checkpoint is None
    assert claimed(run).checkpoint is None


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [(1e23, 1e23, True), (-0.0, -0.0, True), (1, True, False), (0, False, False), (1, 2, False)],
)
def test_only_other_inputs_drop_it_however_the_database_writes_a_number(
    executor: Executor, before: Any, after: Any, kept: bool
) -> None:
    given = {"a": before, "b": 2}
    step = StepDefinition(tasks.add, name="one", inputs=lambda _: given)
    run = start(Workflow("kept", steps=[step]), {})
    fail(reporting(run))
    given["a"] = after

    retry(run.pk)

    assert one(run).checkpoint == (KEPT if kept else None)


did: list[list[int]] = []


@child_task(name="tests.breaks_twice")
def breaks_twice(progress: Progress) -> Any:
    """The first two attempts break in item 3 and in item 6."""
    did.append([])
    for item in progress.track(range(8), resume=True):
        if item == 3 * len(did) < 8:
            progress.checkpoint(f"broke in {item}")
            raise ValueError(item)
        did[-1].append(item)
    return progress.checkpointed


@child_task(name="tests.breaks_twice_async")
async def breaks_twice_async(progress: Progress) -> Any:
    did.append([])
    for item in progress.track(range(8), resume=True):
        if item == 3 * len(did) < 8:
            progress.checkpoint(f"broke in {item}")
            raise ValueError(item)
        did[-1].append(item)
    return progress.checkpointed


@pytest.mark.parametrize("task", [breaks_twice, breaks_twice_async])
def test_an_inline_run_goes_on_where_the_last_attempt_was(task: Any) -> None:
    """An error loses nothing, although no report is due: the next attempt begins with its item."""
    did.clear()
    step = StepDefinition(task, retries=2, poll_interval=1000)
    run = run_inline(Workflow("kept", steps=[step]))

    assert did == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert (run.state, run.result) == ("SUCCESS", "broke in 6")
