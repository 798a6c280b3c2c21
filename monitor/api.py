"""The HTTP surface for programs."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from rest_framework import status
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitor import operations
from monitor.access import find, find_run, visible_runs, with_steps
from monitor.forms import params_of
from monitor.params_schema import params_schema
from monitor.requests import RetryRequest, RunQuery, idempotency_key
from monitor.status import child_status_of, status_of
from parent import registry
from parent.cancel import cancel
from parent.models import Run
from parent.remove import remove
from parent.retry import retry
from parent.start import start

__all__ = [
    "HealthView",
    "TaskCancelView",
    "TaskListView",
    "TaskRetryView",
    "TaskView",
    "WorkflowListView",
    "WorkflowView",
]

PAGE_SIZE = 50


class HealthView(APIView):
    """Whether the process answers. Open to all."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operations.health
    def get(self, _request: Request) -> Response:
        return Response({"status": "ok"})


class WorkflowListView(APIView):
    """The workflows that can be started."""

    @operations.list_workflows
    def get(self, _request: Request) -> Response:
        return Response(
            [
                {
                    "name": workflow.name,
                    "description": workflow.description,
                    "params": params_schema(workflow.params),
                    "steps": [
                        {"name": step.label, "after": list(workflow.after(step))}
                        for step in workflow.steps
                    ],
                }
                for workflow in registry.workflows()
            ]
        )


class WorkflowView(APIView):
    """One workflow; POST starts a run of it."""

    def post(self, request: Request, name: str) -> Response:
        workflow = registry.get(name)
        params = params_of(workflow, request.data)
        owner, key = cast(User, request.user), idempotency_key(request)
        run = start(workflow, params, owner=owner, idempotency_key=key)
        return Response(
            _status(request, run.pk),
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("task-detail", args=[run.pk])},
        )


class NewestFirst(CursorPagination):
    """Pages that stay right while new runs come in."""

    page_size = PAGE_SIZE
    ordering = ("-created_at", "-id")


class TaskListView(APIView):
    """The caller's runs; staff's callers see all."""

    @operations.list_tasks
    def get(self, request: Request) -> Response:
        query = RunQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        paginator = NewestFirst()
        runs = query.narrow(with_steps(visible_runs(request.user)))
        page: list[Run] = paginator.paginate_queryset(runs, request, view=self) or []
        now = timezone.now()
        return paginator.get_paginated_response(
            [status_of(run, run.steps.all(), now=now) for run in page]
        )


class TaskView(APIView):
    """One run, or one child of a run."""

    @operations.read_task
    def get(self, request: Request, task_id: UUID) -> Response:
        return Response(_status(request, task_id))

    @operations.delete_task
    def delete(self, request: Request, task_id: UUID) -> Response:
        remove(find_run(request.user, task_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TaskCancelView(APIView):
    """POST cancels a run."""

    @operations.cancel_task
    def post(self, request: Request, task_id: UUID) -> Response:
        run = find_run(request.user, task_id)
        cancel(run.pk, who=request.user.get_username())
        return Response(_status(request, run.pk), status=status.HTTP_202_ACCEPTED)


class TaskRetryView(APIView):
    """POST tries a failed or cancelled run again."""

    @operations.retry_task
    def post(self, request: Request, task_id: UUID) -> Response:
        run = find_run(request.user, task_id)
        wishes = RetryRequest(data=request.data)
        wishes.is_valid(raise_exception=True)
        retry(run.pk, who=request.user.get_username(), **wishes.validated_data)
        return Response(_status(request, run.pk), status=status.HTTP_202_ACCEPTED)


def _status(request: Request, task_id: UUID) -> dict[str, Any]:
    run, child = find(request.user, task_id)
    now = timezone.now()
    if child is not None:
        return child_status_of(run, child, now=now)
    return status_of(run, run.steps.all(), now=now)
