"""Starting a run: the rows are written first, then the messages are sent."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from parent.conf import setting
from parent.definition import validation
from parent.definition.params import as_json, validate
from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow
from parent.errors import InvalidWorkflow
from parent.messages.publish import first_batch, publish_steps
from parent.models import Run, Step
from parent.runs.advance import log_end, update_from_steps
from parent.runs.idempotency import earlier_run, fingerprint
from parent.runs.transitions import apply_plan
from parent.store import clock, results
from parent.store.files import delete_files, store_files
from parent.store.writes import prepare_insert
from parent.telemetry import tracing

__all__ = ["start"]

STEP_SETTINGS = ("QUEUE_TIMEOUT", "RUN_TIMEOUT", "STALL_TIMEOUT", "POLL_INTERVAL")


def start(
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    owner: User | None = None,
    run_id: UUID | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """Validate the parameters and write a run: its row, its steps and its `TaskResult`.

    The first steps open at once. Their children are published when the transaction commits; in
    a transaction of the caller's, when that commits. While the broker is down they are delayed.

    Args:
        params: the serializer's input; a file is stored and replaced by its storage name.
        run_id: the id of the parent task, if a client has sent that task itself.
        idempotency_key: the same key and parameters of the same owner return the same run.

    Raises:
        KeyReused: the key was used with other parameters.
        InvalidParams: with a list of errors for each field.
        InvalidWorkflow: its steps can never all run; `manage.py check` says the same.
    """
    for problem, hint in validation.problems(workflow):
        raise InvalidWorkflow(f"Workflow {workflow.name!r}: {problem}. {hint}")
    values = validate(workflow, params)
    key_columns: dict[str, str] = {}
    if idempotency_key is not None:
        digest = fingerprint(workflow.name, values)
        if earlier := earlier_run(owner, idempotency_key, digest):
            return earlier
        key_columns = {"idempotency_key": idempotency_key, "fingerprint": digest}
    run_id = run_id or uuid4()
    values, files = store_files(values, run_id)
    try:
        # The transaction only writes: on SQLite all other writers wait for its end. So the
        # authors' `inputs` of the first steps run here.
        run, steps, first = _prepare(
            workflow, as_json(values), id=run_id, files=files, owner=owner, **key_columns
        )
        write_steps = prepare_insert(steps)
        with transaction.atomic():
            run.save(force_insert=True)
            write_steps()
            results.create(run, workflow.task_name)
            transaction.on_commit(lambda: publish_steps(first))
        log_end(run)  # it has ended already if the inputs of its first steps raised
    except BaseException as exc:
        delete_files(files)
        if not (key_columns and isinstance(exc, IntegrityError)):
            raise
        # Another start with the same key may have committed first.
        earlier = earlier_run(owner, key_columns["idempotency_key"], key_columns["fingerprint"])
        if earlier is None:
            raise
        return earlier
    return run


def _prepare(
    workflow: Workflow, params: dict[str, Any], **columns: Any
) -> tuple[Run, Sequence[Step], Sequence[Step]]:
    """A run and its steps, in memory, the first steps open; and which of these to publish now."""
    now = clock.now()
    deadline = now + timedelta(seconds=workflow.timeout) if workflow.timeout else None
    run = Run(
        workflow=workflow.name,
        trace=tracing.begin(workflow.name, columns["id"]),
        params=params,
        version=0,
        created_at=now,
        due_at=deadline,
        deadline_at=deadline,
        **columns,
    )
    limits = {name: setting(name) for name in STEP_SETTINGS}
    steps = [
        _step_row(run, index, step, workflow.after(step), limits)
        for index, step in enumerate(workflow.steps)
    ]
    changes = apply_plan(run, steps, now)
    update_from_steps(run, steps, changes.final, now)
    return run, steps, first_batch(changes.opened, now)


def _step_row(
    run: Run,
    index: int,
    step: StepDefinition,
    after: Sequence[str],
    limits: Mapping[str, float | None],
) -> Step:
    def limit(own: float | None, name: str) -> float | None:
        """The step's own value, else the setting's. 0 turns a limit off."""
        return (own or None) if own is not None else limits[name]

    retrying = step.retrying
    return Step(
        run=run,
        index=index,
        name=step.label,
        task=step.task_name,
        queue=step.queue or "",
        priority=step.priority,
        after=list(after),
        weight=step.weight,
        queue_timeout=limit(step.queue_timeout, "QUEUE_TIMEOUT"),
        run_timeout=limit(step.run_timeout, "RUN_TIMEOUT"),
        stall_timeout=limit(step.stall_timeout, "STALL_TIMEOUT"),
        poll_interval=limit(step.poll_interval, "POLL_INTERVAL") or 0.0,
        retries=retrying.retries,
        retry_delay=retrying.delay,
        backoff=retrying.backoff,
    )
