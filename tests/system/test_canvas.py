"""A workflow is a Celery task: what follows it on the canvas is sent once, after the run's end."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError, TimeoutError
from celery.result import AsyncResult
from celery.utils import uuid
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_results.models import TaskResult

from parent.errors import RunFailed
from parent.models import Run, RunState
from parent.runs.cancel import cancel
from tests.flows import canvas
from tests.flows.tasks import gates
from tests.system.conftest import Gate, StartWorker
from tests.waiting import until

LIMIT = 40


def notes() -> list[Any]:
    return [json.loads(line) for line in gates().lrange(canvas.NOTES, 0, -1)]


def noted(count: int = 1) -> list[Any]:
    return until(f"{count} notes", lambda: notes() if len(notes()) >= count else None)


def all_sent() -> None:
    until("all is sent", lambda: not Run.objects.exclude(follow_up=None).exists())


def chained() -> None:
    flow = chain(canvas.doubled.task.si(a=2), canvas.note.s("x"), canvas.note.s("y"))
    assert flow.apply_async().get(timeout=LIMIT) == 4
    assert notes() == [["x", 4], ["y", 4]]


def in_the_middle_of_a_chain() -> None:
    flow = chain(canvas.number.s(3), canvas.doubled.task.s(), canvas.note.s("x"))
    assert flow.apply_async().get(timeout=LIMIT) == 6
    assert notes() == [["x", 6]]


def two_workflows_in_a_chain() -> None:
    flow = chain(canvas.doubled.task.si(a=1), canvas.doubled.task.si(a=5), canvas.note.s("x"))
    assert flow.apply_async().get(timeout=LIMIT) == 10
    assert notes() == [["x", 10]]


def linked() -> None:
    links = [canvas.note.s("x"), canvas.note.s("y"), group(canvas.note.s("z"))]
    canvas.doubled.task.apply_async(kwargs={"a": 2}, link=links)
    assert sorted(noted(3)) == [["x", 4], ["y", 4], ["z", 4]]


def linked_for_errors() -> None:
    links = [canvas.note_error.s(), canvas.note_failed_id.s()]
    result: Any = canvas.broken.task.apply_async(link=canvas.note.s("x"), link_error=links)
    with pytest.raises(RunFailed):
        result.get(timeout=LIMIT)
    error = ["error", f"{result.id}: Error in breaks: no paper"]
    assert sorted(noted(2)) == [error, ["failed", result.id]]


def chained_after_an_error() -> None:
    flow = chain(canvas.broken.task.si(), canvas.note.s("x")).on_error(canvas.note_failed_id.s())
    result: Any = flow.apply_async()
    with pytest.raises(RunFailed, match="no paper"):
        result.get(timeout=LIMIT)
    assert noted() == [["failed", result.parent.id]]
    assert AsyncResult(result.parent.id).state == "FAILURE"
    kept = TaskResult.objects.get(task_id=result.parent.id)
    assert kept.task_name == canvas.broken.task_name


def chained_without_inputs() -> None:
    """The run ends where it starts."""
    flow = chain(canvas.no_inputs.task.si(), canvas.note.s("x"))
    with pytest.raises(RunFailed, match="no inputs"):
        flow.apply_async().get(timeout=LIMIT)


def header_of_a_chord() -> None:
    header = [canvas.doubled.task.si(a=1), canvas.doubled.task.si(a=2), canvas.number.s(9)]
    assert chord(header)(canvas.note.s("x")).get(timeout=LIMIT) == [2, 4, {"a": 9}]
    assert notes() == [["x", [2, 4, {"a": 9}]]]


def body_of_a_chord() -> None:
    flow = chord([canvas.number.s(1), canvas.number.s(2)], canvas.doubled.task.si(a=7))
    assert flow.apply_async().get(timeout=LIMIT) == 14


def header_of_a_chord_that_fails() -> None:
    header = [canvas.broken.task.si(), canvas.doubled.task.si(a=2)]
    body = chord(header)(canvas.note.s("x"))
    with pytest.raises(ChordError, match="no paper"):
        # Else Celery may raise the error of the header's task, whichever it sees first.
        body.get(timeout=LIMIT, follow_parents=False)
    assert notes() == []


def grouped() -> None:
    result: Any = group(canvas.doubled.task.s(a=a) for a in range(4)).apply_async()
    assert result.get(timeout=LIMIT) == [0, 2, 4, 6]


def later() -> None:
    eta = timezone.now() + timedelta(seconds=1)
    results = [
        canvas.doubled.task.apply_async(kwargs={"a": 2}, countdown=1, link=canvas.note.s("x")),
        canvas.doubled.task.apply_async(kwargs={"a": 2}, eta=eta, link=canvas.note.s("x")),
    ]
    assert [result.get(timeout=LIMIT) for result in results] == [4, 4]
    for result in results:
        assert Run.objects.get(pk=result.id).created_at >= eta - timedelta(seconds=0.5)
    assert noted(2) == [["x", 4]] * 2


def expired() -> None:
    result: Any = canvas.doubled.task.apply_async(
        kwargs={"a": 2}, expires=-1, link=canvas.note.s("x")
    )
    with pytest.raises(TaskRevokedError):
        result.get(timeout=LIMIT)
    assert not Run.objects.exists()


def wrong_parameters() -> None:
    result: Any = canvas.doubled.task.apply_async(
        kwargs={"a": "b"}, link=canvas.note.s("x"), link_error=canvas.note_failed_id.s()
    )
    with pytest.raises(Exception, match="valid integer"):
        result.get(timeout=LIMIT)
    assert noted() == [["failed", result.id]]


def a_result_that_is_no_parameters() -> None:
    flow = chain(canvas.note.si(1, "x"), canvas.doubled.task.s(a=2))
    with pytest.raises(Exception, match=r"link it with \.si"):
        flow.apply_async().get(timeout=LIMIT)


def sent_twice() -> None:
    """The parent's message comes again, at once and after the end. Any of them may be the first."""
    message: Any = {"kwargs": {"a": 2}, "task_id": uuid(), "link": canvas.note.s("x")}
    result: Any = canvas.doubled.task.apply_async(**message)
    canvas.doubled.task.apply_async(**message)
    assert result.get(timeout=LIMIT) == 4
    noted()
    canvas.doubled.task.apply_async(**message)
    assert chain(canvas.doubled.task.si(a=1), canvas.note.s("y")).apply_async().get(timeout=LIMIT)
    assert sorted(notes()) == [["x", 4], ["y", 2]]


CASES: list[Callable[[], None]] = [
    chained,
    in_the_middle_of_a_chain,
    two_workflows_in_a_chain,
    linked,
    linked_for_errors,
    chained_after_an_error,
    chained_without_inputs,
    header_of_a_chord,
    body_of_a_chord,
    header_of_a_chord_that_fails,
    grouped,
    later,
    expired,
    wrong_parameters,
    a_result_that_is_no_parameters,
    sent_twice,
]


def test_what_follows_a_run_is_sent_once_after_its_end(start_worker: StartWorker) -> None:
    start_worker("-P", "threads", "-c", "2", WORKFLOW_POLL_INTERVAL="0.2")
    for case in CASES:
        gates().delete(canvas.NOTES)
        try:
            case()
        except (AssertionError, TimeoutError) as exc:
            exc.add_note(f"in the case {case.__name__}")
            raise
        all_sent()
        assert not Run.objects.filter(finished_at=None).exists(), case
        Run.objects.all().delete()


def test_of_a_cancelled_run_nothing_is_sent(start_worker: StartWorker, gate: Gate) -> None:
    start_worker("-P", "threads", "-c", "2", WORKFLOW_POLL_INTERVAL="0.2")
    flow = chain(canvas.held.task.si(gate=gate.name), canvas.note.s("x"))
    result: Any = flow.apply_async(link_error=canvas.note_failed_id.s())
    gate.reached()

    cancel(result.parent.id)

    with pytest.raises(TaskRevokedError):
        result.get(timeout=LIMIT)
    assert Run.objects.get().state == RunState.REVOKED
    assert notes() == []


def test_a_worker_that_is_killed_before_the_end(start_worker: StartWorker, gate: Gate) -> None:
    short = {"WORKFLOW_LEASE": "2", "WORKFLOW_HEARTBEAT": "0.5", "WORKFLOW_POLL_INTERVAL": "0.2"}
    worker = start_worker("-P", "threads", "-c", "1", **short)
    flow = chain(canvas.held.task.si(gate=gate.name), canvas.note.s("x"))
    result: Any = flow.apply_async(link_error=canvas.note_failed_id.s())
    gate.reached()

    worker.kill()
    start_worker("-P", "threads", "-c", "1", **short)

    with pytest.raises(RunFailed, match="died while running it"):
        result.get(timeout=LIMIT)
    all_sent()


def test_a_process_that_is_killed_while_it_sends(start_worker: StartWorker) -> None:
    start_worker("-P", "prefork", "-c", "1", WORKFLOW_POLL_INTERVAL="0.2")
    result: Any = canvas.broken.task.apply_async(link_error=canvas.note_and_die_once.s())

    until("a death", lambda: gates().get("canvas:deaths"))
    until("the end", lambda: Run.objects.filter(finished_at__isnull=False).exists())
    Run.objects.filter(due_at__isnull=False).update(due_at=Now())
    all_sent()

    assert notes() == [["error", f"{result.id}: Error in breaks: no paper"]]
    with pytest.raises(RunFailed):
        result.get(timeout=LIMIT)
