"""The views of the HTTP API."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from monitor.api.base import ApiView
from monitor.api.body_params import params_of
from monitor.api.not_modified import snapshot_of
from monitor.api.openapi import task_operations, workflow_operations
from monitor.api.params_schema import params_schema
from monitor.api.request_options import (
    INSTEAD,
    ByIndex,
    ItemQuery,
    LogQuery,
    NewestFirst,
    RetryRequest,
    RunQuery,
    idempotency_key,
)
from monitor.apply_policy import (
    find_mapped_step,
    find_run,
    find_to_change,
    find_to_retry,
    find_workflow,
    startable,
    visible_runs,
)
from monitor.http.namespace import namespace_of, our_url
from monitor.http.parsers import JSONParser
from monitor.http.throttles import StartThrottle
from monitor.polling.etag import answer, digest_of, not_modified
from monitor.polling.slow_down import pace
from monitor.runs.items import READ, item_row
from monitor.runs.log import log_document
from monitor.runs.results import result_answer
from monitor.runs.snapshot import Snapshot, Task, task_status
from monitor.runs.starting import start_for
from monitor.texts.row_texts import asked_language, texts_of
from parent.definition.mapping import Map
from parent.definition.signals import awaited_steps
from parent.deletion.delete import delete_run
from parent.logs.read import read_log
from parent.models import Item, Run
from parent.runs.cancel import cancel
from parent.runs.signals.payload import serializer_of
from parent.runs.user_retry.retry import retry

__all__ = [
    "ItemListView",
    "TaskCancelView",
    "TaskListView",
    "TaskLogView",
    "TaskResultView",
    "TaskRetryView",
    "TaskView",
    "WorkflowListView",
    "WorkflowView",
]


class WorkflowListView(ApiView):
    """The workflows that the caller can start."""

    @workflow_operations.list_workflows
    def get(self, request: Request) -> Response:
        return Response(
            [
                {
                    "name": workflow.name,
                    "title": workflow.shown_title,
                    "description": workflow.description,
                    "params": params_schema(workflow.params),
                    "steps": [
                        {
                            "name": step.label,
                            "title": step.shown_title,
                            "after": list(workflow.after(step)),
                            "when": step.when,
                            "optional": step.optional,
                            "mapped": isinstance(step, Map),
                            "workflow": step.nested or None,
                        }
                        for step in workflow.steps
                    ],
                    "signals": [
                        {
                            "name": step.label,
                            "title": step.shown_title,
                            "awaits": step.awaits,
                            "permission": step.permission,
                            "feeds": fed.label if (fed := workflow.fed_step(step.label)) else None,
                            "params": params_schema(serializer_of(step)),
                        }
                        for step in awaited_steps(workflow)
                    ],
                }
                for workflow in startable(request.user)
            ]
        )


class WorkflowView(ApiView):
    """One workflow; POST starts a run of it."""

    throttle_classes = (StartThrottle,)

    def post(self, request: Request, name: str) -> Response:
        workflow = find_workflow(request.user, name)
        params = params_of(workflow, request.data)
        owner, key = cast(User, request.user), idempotency_key(request)
        run, instead = start_for(owner, workflow, params, idempotency_key=key)
        headers = {"Location": our_url(request, "task-detail", run.pk)}
        if instead:
            headers[INSTEAD] = instead
        return Response(
            _status(request, Snapshot([run.pk]), timezone.now()),
            status=status.HTTP_200_OK if instead else status.HTTP_202_ACCEPTED,
            headers=headers,
        )


class TaskListView(ApiView):
    """The caller's runs; staff see all."""

    @task_operations.list_tasks
    @pace.answering()
    def get(self, request: Request) -> HttpResponse:
        query, now = RunQuery.of(request), timezone.now()
        ids, links = query.ids_to_poll, {"next": None, "previous": None}
        if ids is None:
            ids, links = self._page(query.narrow(visible_runs(request.user)), request)
        tasks = Snapshot(ids, results=False).tasks(request.user)
        where = namespace_of(request)
        results = [task_status(task, now=now, namespace=where) for task in tasks]
        document: dict[str, Any] = {**links, "results": results, **_texts(request, tasks, results)}
        digest = digest_of(document)
        return not_modified(request, digest) or answer(request, digest, document, results)

    def _page(self, runs: QuerySet[Run], request: Request) -> tuple[list[UUID], dict[str, Any]]:
        """The ids on the requested page, and the links to the next and the previous page."""
        paginator = NewestFirst()
        page = paginator.paginate_queryset(runs.only("created_at"), request, view=self) or []
        links = {"next": paginator.get_next_link(), "previous": paginator.get_previous_link()}
        return [run.pk for run in page], links


class TaskView(ApiView):
    """One run, or one child of a run."""

    @task_operations.read_task
    @pace.answering()
    def get(self, request: Request, task_id: UUID) -> HttpResponse:
        snapshot, now = snapshot_of(request, task_id), timezone.now()
        status = _status(request, snapshot, now)
        digest = snapshot.digest(now, asked_language(request))
        return not_modified(request, digest) or answer(request, digest, status, [status])

    @task_operations.delete_task
    def delete(self, request: Request, task_id: UUID) -> Response:
        delete_run(find_to_change(request.user, task_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TaskResultView(ApiView):
    """The result of a run, or of one child, by itself."""

    @task_operations.read_result
    def get(self, request: Request, task_id: UUID) -> HttpResponse:
        return result_answer(request, Snapshot([task_id], results=False).task(request.user))


class TaskCancelView(ApiView):
    """POST cancels a run."""

    @task_operations.cancel_task
    def post(self, request: Request, task_id: UUID) -> Response:
        run = find_to_change(request.user, task_id)
        cancel(run.pk, who=request.user.get_username())
        return Response(
            _status(request, Snapshot([run.pk]), timezone.now()), status=status.HTTP_202_ACCEPTED
        )


class TaskRetryView(ApiView):
    """POST retries a failed or cancelled run."""

    parser_classes = (JSONParser,)
    throttle_classes = (StartThrottle,)

    @task_operations.retry_task
    def post(self, request: Request, task_id: UUID) -> Response:
        run = find_to_retry(request.user, task_id)
        options = RetryRequest(data=request.data)
        options.is_valid(raise_exception=True)
        retry(run.pk, who=request.user.get_username(), **options.validated_data)
        return Response(
            _status(request, Snapshot([run.pk]), timezone.now()), status=status.HTTP_202_ACCEPTED
        )


class TaskLogView(ApiView):
    """What the children of a run have logged."""

    @task_operations.read_log
    def get(self, request: Request, task_id: UUID) -> HttpResponse:
        query, run = LogQuery.of(request), find_run(request.user, task_id)
        document = log_document(run, read_log(run, **query.narrow()))
        digest = digest_of(document)
        return not_modified(request, digest) or answer(request, digest, document, ())


class ItemListView(ApiView):
    """The items of a mapped step, in pages."""

    @task_operations.list_items
    def get(self, request: Request, task_id: UUID, name: str) -> HttpResponse:
        query, run = ItemQuery.of(request), find_run(request.user, task_id)
        step = find_mapped_step(run, name)
        items = query.narrow(Item.objects.filter(step=step)).only(*READ)
        paginator = ByIndex()
        page = paginator.paginate_queryset(items, request, view=self) or []
        results = [item_row(item) for item in page]
        document: dict[str, Any] = {
            "next": paginator.get_next_link(),
            "previous": paginator.get_previous_link(),
            "results": results,
        }
        digest = digest_of(document)
        return not_modified(request, digest) or answer(request, digest, document, ())


def _status(request: Request, snapshot: Snapshot, now: datetime) -> dict[str, Any]:
    """The status of the one task in the snapshot. Raises Http404 as `Snapshot.task` does."""
    task = snapshot.task(request.user)
    status = task_status(task, now=now, namespace=namespace_of(request))
    return status | _texts(request, [task], [status])


def _texts(
    request: Request, tasks: Iterable[Task], statuses: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The field `texts` of an answer, if the request asks for it by `lang`."""
    language = asked_language(request)
    if not language:
        return {}
    errors = {line: shown for task in tasks for line, shown in task.errors.items()}
    return {"texts": texts_of(statuses, language, errors)}
