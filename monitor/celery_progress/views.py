"""The views that answer the script of celery-progress."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Any, cast
from uuid import UUID

from celery.result import AsyncResult, GroupResult
from django.http import Http404
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from monitor.api.base import ApiView
from monitor.apply_policy import NOT_FOUND
from monitor.celery_progress.answers import Answer, of_group, of_status, of_stored
from monitor.runs.snapshot import Snapshot, Task, task_status
from parent.models import StepState

__all__ = ["GroupProgressView", "TaskProgressView"]


class TaskProgressView(ApiView):
    """How far a task is: a run or a child of ours, as our API tells it, or any other task.

    An id that nobody knows is PENDING, because Celery cannot tell it from one that waits.
    """

    schema = None  # it is described by celery-progress

    def get(self, request: Request, task_id: str) -> Response:
        [answer] = _answers(request, [task_id])
        return Response(answer)


class GroupProgressView(ApiView):
    """How far the tasks of a group are together. The group must have been saved (`.save()`)."""

    schema = None

    def get(self, request: Request, group_id: str) -> Response:
        group = GroupResult.restore(group_id)
        if group is None or not group.children:
            raise Http404(
                "No group with this id is stored: call save() on what apply_async() returns."
            )
        return Response(of_group(_answers(request, [child.id for child in group.children])))


def _answers(request: Request, task_ids: Sequence[str]) -> list[Answer]:
    """The answers for these tasks. Our own rows take two statements.

    Raises:
        Http404: one is a run that this user may not see.
    """
    now = timezone.now()
    ids = {task_id: uuid for task_id in task_ids if (uuid := _uuid(task_id)) is not None}
    snapshot = Snapshot(list(dict.fromkeys(ids.values())))
    tasks = {UUID(task.task_id): task for task in snapshot.tasks(request.user)}
    if snapshot.run_count > len({task.run.pk for task in tasks.values()}):
        raise Http404(NOT_FOUND)
    ours = {task_id: tasks.get(uuid) for task_id, uuid in ids.items()}
    return [_answer(task_id, ours.get(task_id), now) for task_id in task_ids]


def _answer(task_id: str, task: Task | None, now: datetime) -> Answer:
    if task is None:
        result: AsyncResult[Any] = AsyncResult(task_id)
        return of_stored(result.state, result.result, cast("str | None", result.traceback))
    status = task_status(task, now=now)
    child = task.child
    retries = child is not None and child.state == StepState.QUEUED and child.attempt > 1
    until = status["waits_until"] if retries else None
    return of_status(status, max(0, ceil((until - now).total_seconds())) if until else None)


def _uuid(task_id: str) -> UUID | None:
    try:
        return UUID(task_id)
    except ValueError:
        return None
