"""Starting a run: rows first, then a message."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from children.errors import ResultNotJSON
from children.storable import check_json
from parent import clock, definitions, graph, results
from parent.conf import setting
from parent.definitions import Workflow
from parent.errors import InvalidParams, InvalidWorkflow
from parent.files import delete_files, store_files
from parent.models import Run, Step
from parent.publish import publish_run, republish_after

__all__ = ["start"]

IGNORED = frozenset({"csrfmiddlewaretoken"})


def start(
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    owner: User | None = None,
    run_id: UUID | None = None,
    publish: bool = True,
) -> Run:
    """Validate the parameters and write a run: its row, its steps and its `TaskResult`.

    The parent task is published when the transaction commits, the caller's included. A broker
    that is away only delays it.

    Args:
        params: what the serializer takes; a file is stored and replaced by its storage name.
        run_id: the id of the parent task; a new one without it.
        publish: False where the caller runs the parent itself.

    Raises:
        InvalidParams: with an error per field.
        InvalidWorkflow: its steps could never run; `manage.py check` says the same.
    """
    for problem, hint in graph.problems(workflow):
        raise InvalidWorkflow(f"Workflow {workflow.name!r}: {problem}. {hint}")
    values = validate(workflow, params)
    run_id = run_id or uuid4()
    values, files = store_files(values, run_id)
    try:
        with transaction.atomic():
            run = _write(workflow, run_id, _as_json(values), files, owner)
            if publish:
                transaction.on_commit(lambda: publish_run(run))
    except BaseException:
        delete_files(files)
        raise
    return run


def validate(workflow: Workflow, params: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values of `params`.

    Raises:
        InvalidParams: with an error per field, unknown fields included.
    """
    serializer = workflow.params(data=params) if workflow.params else None
    known = set(getattr(serializer, "fields", ()))
    unknown = sorted(set(params) - known - IGNORED)
    errors: dict[str, Any] = {name: ["This workflow has no such parameter."] for name in unknown}
    if serializer is not None and not serializer.is_valid():
        errors = dict(serializer.errors) | errors
    if errors:
        raise InvalidParams(errors)
    return dict(serializer.validated_data) if serializer is not None else {}


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        params: dict[str, Any] = json.loads(json.dumps(values, cls=DjangoJSONEncoder))
        check_json(params)
    except (TypeError, ValueError, ResultNotJSON) as exc:
        raise InvalidParams({"non_field_errors": [f"The parameters are not JSON: {exc}"]}) from exc
    return params


def _write(
    workflow: Workflow,
    run_id: UUID,
    params: dict[str, Any],
    files: list[str],
    owner: User | None,
) -> Run:
    now = clock.now()
    run = Run.objects.create(
        id=run_id,
        workflow=workflow.name,
        params=params,
        files=files,
        owner=owner,
        publishes=1,
        created_at=now,
        due_at=now + republish_after(0),
        deadline_at=now + timedelta(seconds=workflow.timeout) if workflow.timeout else None,
    )
    Step.objects.bulk_create(
        _step_row(workflow, run, index, step) for index, step in enumerate(workflow.steps)
    )
    results.create(run, workflow.task_name)
    return run


def _step_row(workflow: Workflow, run: Run, index: int, step: definitions.Step) -> Step:
    return Step(
        run=run,
        index=index,
        name=step.label,
        task=step.task_name,
        queue=step.queue or "",
        after=list(workflow.after(step)),
        weight=step.weight,
        queue_timeout=_limit(step.queue_timeout, "QUEUE_TIMEOUT"),
        run_timeout=_limit(step.run_timeout, "RUN_TIMEOUT"),
        stall_timeout=_limit(step.stall_timeout, "STALL_TIMEOUT"),
        poll_interval=_limit(step.poll_interval, "POLL_INTERVAL") or 0.0,
    )


def _limit(own: float | None, name: str) -> float | None:
    """The step's own value, else the setting's; 0 turns a limit off."""
    return (own or None) if own is not None else setting(name)
