"""Starting a run: the rows are written first, then the messages are sent."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from celery import current_app
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction

from parent.conf import setting
from parent.definition import validation
from parent.definition.concurrency import Concurrency
from parent.definition.mapping import Map
from parent.definition.params import as_json, has_file, validate
from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow
from parent.errors import AlreadyRunning, InvalidParams, InvalidWorkflow, RunEnded
from parent.messages.publish import first_batch, is_publishing_off, publish_steps
from parent.models import Run, Step
from parent.notifications.announce import announce_failed_steps, announce_starts
from parent.notifications.rules import STORED_RULES
from parent.runs import places
from parent.runs.advance import log_end, publish_follow_up, update_from_steps
from parent.runs.cancel import cancel
from parent.runs.idempotency import earlier_run, fingerprint
from parent.runs.items.sealing import set_primary_keys
from parent.runs.items.windows import open_items
from parent.runs.transitions import apply_plan
from parent.store import clock, results
from parent.store.files import delete_files, store_files
from parent.store.writes import prepare_insert, prepare_insert_and_ask
from parent.telemetry import tracing

__all__ = ["start", "start_many"]

BATCH = 200
"""Runs written in one transaction."""

STEP_SETTINGS = ("QUEUE_TIMEOUT", "RUN_TIMEOUT", "STALL_TIMEOUT", "POLL_INTERVAL")


def start(
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    owner: User | None = None,
    run_id: UUID | None = None,
    idempotency_key: str | None = None,
    limited: bool = True,
    follow_up: str | None = None,
) -> Run:
    """Validate the parameters and write a run: its row, its steps and its `TaskResult`.

    The first steps open at once. Their children are published when the transaction commits; in
    a transaction of the caller's, when that commits. While the broker is down they are delayed.

    Args:
        params: the serializer's input; a file is stored and replaced by its storage name.
        run_id: the id of the parent task, if a client has sent that task itself.
        idempotency_key: the same key and parameters of the same owner return the same run.
        limited: False takes no place of the workflow's `concurrency`, and waits for none.
        follow_up: what Celery sends after the run's end; see `parent.runs.canvas`.

    Returns:
        The new run; with an idempotency key perhaps an earlier one. With
        `when_full="return_existing"` perhaps one that goes on; then its `was_there` is true.

    Raises:
        AlreadyRunning: no place is free, and the workflow has `when_full="skip"`, or a run that is
            there cannot have `run_id`.
        KeyReused: the key was used with other parameters.
        InvalidParams: with a list of errors for each field.
        InvalidWorkflow: its steps can never all run; `manage.py check` says the same.
        ImproperlyConfigured: Celery's result backend is not the database.
    """
    _check(workflow)
    values = validate(workflow, params)
    columns: dict[str, str] = {"follow_up": follow_up} if follow_up else {}
    if idempotency_key is not None:
        digest = fingerprint(workflow.name, values)
        if earlier := earlier_run(owner, idempotency_key, digest):
            return earlier
        columns |= {"idempotency_key": idempotency_key, "fingerprint": digest}
    try:
        if workflow.concurrency is not None and limited:
            return _start_limited(
                workflow, workflow.concurrency, values, run_id, owner=owner, **columns
            )
        [run] = _write(workflow, [values], [run_id or uuid4()], owner=owner, **columns)
    except IntegrityError:
        # Another start with the same key may have committed first.
        if idempotency_key is not None and (earlier := earlier_run(owner, idempotency_key, digest)):
            return earlier
        raise
    return run


def _start_limited(
    workflow: Workflow,
    concurrency: Concurrency,
    values: dict[str, Any],
    run_id: UUID | None,
    **columns: Any,
) -> Run:
    """Write a run of a workflow with a limit, or do what `when_full` says.

    The decision and the rows are one transaction, which no other start with this key comes between.
    """
    key = concurrency.key_of(
        as_json({name: value for name, value in values.items() if not has_file(value)})
    )
    with transaction.atomic():
        places.lock(workflow.name, key)
        has_place = places.may_begin(workflow.name, key)
        if not has_place and concurrency.when_full != "queue":
            holding, in_line = (
                places.holding(workflow.name, key),
                places.in_line(workflow.name, key),
            )
            if concurrency.when_full == "cancel_running":
                for run in (*holding[:1], *in_line):
                    _cancel(run.pk, f"a new run has taken over: {key or workflow.name}")
            elif (there := holding.first() or in_line.first()) is not None:
                return _already_there(workflow, concurrency, key, there, run_id)
        [run] = _write(
            workflow,
            [values],
            [run_id or uuid4()],
            place_key=key,
            has_place=has_place,
            **columns,
        )
    return run


def _cancel(run_id: UUID, why: str) -> None:
    with suppress(RunEnded):
        cancel(run_id, who=why)


def _already_there(
    workflow: Workflow, concurrency: Concurrency, key: str, there: Run, run_id: UUID | None
) -> Run:
    """The run that is there, where that is what a start returns.

    Raises:
        AlreadyRunning: it is not.
    """
    there.was_there = True
    if concurrency.when_full == "return_existing" and run_id is None:
        return there
    of = f" with {key}" if key else ""
    raise AlreadyRunning(f"A run of {workflow.name}{of} goes on already: {there.pk}.", there)


def start_many(
    workflow: Workflow, params: Iterable[Mapping[str, Any]], *, owner: User | None = None
) -> list[Run]:
    """Start a run for each of these parameters, as `start` does; returns the runs in order.

    All parameters are validated before anything is written. Then each 200 runs are one transaction,
    and their first children are published when it commits. Of a workflow with `concurrency` each
    run is a transaction; where it starts none, the run that is there is returned. After an error
    of the database the runs of earlier transactions are there, unless the caller's own transaction
    is around all of them.

    Raises:
        InvalidParams: with the errors of each field, by the place of the parameters: `{3: {...}}`.
        InvalidWorkflow: see `start`.
    """
    _check(workflow)
    valid: list[dict[str, Any]] = []
    errors: dict[int, Any] = {}
    for index, given in enumerate(params):
        try:
            valid.append(validate(workflow, given))
        except InvalidParams as exc:
            errors[index] = exc.errors
    if errors:
        raise InvalidParams(errors)
    if workflow.concurrency is not None:
        return [_start_one(workflow, workflow.concurrency, each, owner) for each in valid]
    runs: list[Run] = []
    for first in range(0, len(valid), BATCH):
        batch = valid[first : first + BATCH]
        runs += _write(workflow, batch, [uuid4() for _ in batch], owner=owner)
    return runs


def _start_one(
    workflow: Workflow, concurrency: Concurrency, values: dict[str, Any], owner: User | None
) -> Run:
    try:
        return _start_limited(workflow, concurrency, values, None, owner=owner)
    except AlreadyRunning as exc:
        there: Run = exc.run
        return there


def _check(workflow: Workflow) -> None:
    # The same as the check `parent.E005`, which a web server does not run. An eager or inline run
    # needs no backend.
    if not (current_app.conf.task_always_eager or is_publishing_off()):
        problem = results.backend_problem(current_app.conf.result_backend)
        if problem:
            raise ImproperlyConfigured(f"{problem} {results.BACKEND_HINT}")
    for problem, hint in validation.problems(workflow):
        raise InvalidWorkflow(f"Workflow {workflow.name!r}: {problem}. {hint}")


def _write(
    workflow: Workflow, params: Sequence[dict[str, Any]], ids: Sequence[UUID], **columns: Any
) -> list[Run]:
    """Write runs with these valid parameters in one transaction; publish when it commits."""
    runs: list[Run] = []
    steps: list[Step] = []
    to_publish: list[Step] = []
    mapped: list[Step] = []
    stored: list[str] = []
    try:
        # The transaction only writes: on SQLite all other writers wait for its end. So the
        # authors' `inputs` of the first steps run here.
        for given, run_id in zip(params, ids, strict=True):
            values, files = store_files(given, run_id)
            stored += files
            run, own, first = _prepare(workflow, as_json(values), id=run_id, files=files, **columns)
            mapped += [step for step in own if step.items is not None]
            runs.append(run)
            steps += own
            to_publish += first
        insert_runs = prepare_insert_and_ask(runs, STORED_RULES, [workflow.name])
        inserts = [
            prepare_insert(steps),
            results.prepare_create(runs, workflow.task_name),
        ]
        with transaction.atomic():
            has_stored_rules = insert_runs()
            for insert in inserts:
                insert()
            if mapped:
                set_primary_keys(runs, mapped)
            for step in mapped:
                items = open_items(step, step.run.created_at)
                transaction.on_commit(partial(publish_steps, items))
            transaction.on_commit(lambda: publish_steps(to_publish))
            for run in runs:
                publish_follow_up(run)  # it has ended if the inputs of its first steps raised
            announce_starts(runs, runs[0].created_at, has_stored_rules=has_stored_rules)
            announce_failed_steps(steps)
    except BaseException:
        delete_files(stored)
        raise
    for run in runs:
        run._state.adding, run._state.db = False, DEFAULT_DB_ALIAS  # as `save` does
        log_end(run)  # it has ended already if the inputs of its first steps raised
    return runs


def _prepare(
    workflow: Workflow, params: dict[str, Any], **columns: Any
) -> tuple[Run, Sequence[Step], Sequence[Step]]:
    """A run and its steps, in memory, the first steps open; and which of these to publish now."""
    now = clock.now()
    run = Run(
        workflow=workflow.name,
        trace=tracing.begin(workflow.name, columns["id"]),
        params=params,
        version=0,
        created_at=now,
        **columns,
    )
    if workflow.timeout and not run.waits_for_turn:
        run.due_at = run.deadline_at = now + timedelta(seconds=workflow.timeout)
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
        when=step.when,
        optional=step.optional,
        weight=step.weight,
        queue_timeout=limit(step.queue_timeout, "QUEUE_TIMEOUT"),
        run_timeout=limit(step.run_timeout, "RUN_TIMEOUT"),
        stall_timeout=limit(step.stall_timeout, "STALL_TIMEOUT"),
        poll_interval=limit(step.poll_interval, "POLL_INTERVAL") or 0.0,
        retries=retrying.retries,
        retry_delay=retrying.delay,
        backoff=retrying.backoff,
        **_mapped_columns(step),
    )


def _mapped_columns(step: StepDefinition) -> dict[str, Any]:
    if not isinstance(step, Map):
        return {}
    return {
        "chunk": step.chunk,
        "max_active": step.max_active,
        "tolerate": str(step.tolerate or ""),
    }
