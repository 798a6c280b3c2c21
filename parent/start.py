"""Starting a run: rows first, then a message."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from parent import clock, definitions, graph, results, tracing
from parent.advance import go_on
from parent.conf import setting
from parent.definitions import Workflow
from parent.errors import InvalidWorkflow
from parent.files import delete_files, store_files
from parent.idempotency import earlier_run, fingerprint
from parent.models import Run, Step
from parent.opening import open_step
from parent.params import as_json, validate
from parent.plan import plan, run_meta
from parent.publish import publish_steps

__all__ = ["start"]


def start(
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    owner: User | None = None,
    run_id: UUID | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """Validate the parameters and write a run: its row, its steps and its `TaskResult`.

    The first steps are open at once, and their children are published when the transaction
    commits, the caller's included. A broker that is away only delays them.

    Args:
        params: what the serializer takes; a file is stored and replaced by its storage name.
        run_id: the id of the parent task, where a client has sent that itself.
        idempotency_key: the same key and parameters of the same owner give the same run.

    Raises:
        KeyReused: the key was used with other parameters.
        InvalidParams: with an error per field.
        InvalidWorkflow: its steps could never run; `manage.py check` says the same.
    """
    for problem, hint in graph.problems(workflow):
        raise InvalidWorkflow(f"Workflow {workflow.name!r}: {problem}. {hint}")
    values = validate(workflow, params)
    once: dict[str, str] = {}
    if idempotency_key is not None:
        mark = fingerprint(workflow.name, values)
        if earlier := earlier_run(owner, idempotency_key, mark):
            return earlier
        once = {"idempotency_key": idempotency_key, "fingerprint": mark}
    run_id = run_id or uuid4()
    values, files = store_files(values, run_id)
    try:
        with transaction.atomic():
            run = _write(workflow, as_json(values), id=run_id, files=files, owner=owner, **once)
    except BaseException as exc:
        delete_files(files)
        if not (once and isinstance(exc, IntegrityError)):
            raise
        # Another request with the same key may have come first.
        earlier = earlier_run(owner, once["idempotency_key"], once["fingerprint"])
        if earlier is None:
            raise
        return earlier
    return run


def _write(workflow: Workflow, params: dict[str, Any], **columns: Any) -> Run:
    now = clock.now()
    deadline = now + timedelta(seconds=workflow.timeout) if workflow.timeout else None
    run = Run(
        workflow=workflow.name,
        trace=tracing.begin(workflow.name, columns["id"]),
        params=params,
        created_at=now,
        mirrored_at=now,
        due_at=deadline,
        deadline_at=deadline,
        **columns,
    )
    steps = [_step_row(workflow, run, index, step) for index, step in enumerate(workflow.steps)]
    first = [step for step in steps if step.name in plan(steps).open]
    opened = [step for step in first if open_step(run, step, steps, now)]
    run.set_meta(run_meta(run.meta, steps))
    run.save(force_insert=True)
    Step.objects.bulk_create(steps)
    results.create(run, workflow.task_name)
    if opened != first:
        go_on(run.pk)  # the inputs of one could not be made: what depends on it is skipped
        run.refresh_from_db()
    transaction.on_commit(lambda: publish_steps(opened))
    return run


def _step_row(workflow: Workflow, run: Run, index: int, step: definitions.Step) -> Step:
    retrying = step.retrying
    return Step(
        run=run,
        index=index,
        name=step.label,
        task=step.task_name,
        queue=step.queue or "",
        priority=step.priority,
        after=list(workflow.after(step)),
        weight=step.weight,
        queue_timeout=_limit(step.queue_timeout, "QUEUE_TIMEOUT"),
        run_timeout=_limit(step.run_timeout, "RUN_TIMEOUT"),
        stall_timeout=_limit(step.stall_timeout, "STALL_TIMEOUT"),
        poll_interval=_limit(step.poll_interval, "POLL_INTERVAL") or 0.0,
        retries=retrying.retries,
        retry_delay=retrying.delay,
        backoff=retrying.backoff,
    )


def _limit(own: float | None, name: str) -> float | None:
    """The step's own value, else the setting's; 0 turns a limit off."""
    return (own or None) if own is not None else setting(name)
