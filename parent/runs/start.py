"""Starting a run: the rows are written first, then the messages are sent."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from celery import current_app
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction

from parent.definition.concurrency import Concurrency
from parent.definition.parameters.params import as_json, has_file, validate
from parent.definition.signals import signal_problems
from parent.definition.validation.steps import steps_problems
from parent.definition.workflow import Workflow
from parent.errors import AlreadyRunning, InvalidParams, InvalidWorkflow, RunEnded
from parent.messages.publish import is_publishing_off
from parent.models import Run
from parent.runs.advance import pass_places_on_after_commit
from parent.runs.cancel import cancel
from parent.runs.concurrency import runs_in_line
from parent.runs.idempotency import earlier_run, fingerprint
from parent.runs.new_run import NewRuns
from parent.runs.transitions import log_end
from parent.store import clock, results
from parent.store.files import delete_files, store_files

__all__ = ["start", "start_many"]

BATCH = 200
"""Runs written in one transaction."""


def start(
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    owner: User | None = None,
    run_id: UUID | None = None,
    idempotency_key: str | None = None,
    limited: bool = True,
    follow_up: str | None = None,
    periodic_task: str = "",
) -> Run:
    """Validate the parameters and write a run: its row, its steps and its `TaskResult`.

    The first steps open at once. Their children are published when the transaction commits; in
    a transaction of the caller's, when that commits. While the broker is down they are delayed.

    Args:
        params: the serializer's input; a file is stored and replaced by its storage name.
        run_id: the id of the parent task, if a client has sent that task itself.
        idempotency_key: the same key and parameters of the same owner return the same run.
        limited: False takes no place of the workflow's `concurrency`, and waits for none.
        follow_up: what Celery sends after the run's end; see `parent.runs.following.canvas`.
        periodic_task: the name of the entry of Celery's beat that starts it.

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
    columns = {"periodic_task": periodic_task}
    if follow_up:
        columns |= {"follow_up": follow_up}
    if idempotency_key is not None:
        digest = fingerprint(workflow.name, values)
        if earlier := earlier_run(owner, idempotency_key, digest):
            return earlier
        columns |= {"idempotency_key": idempotency_key, "fingerprint": digest}
    try:
        if workflow.concurrency is not None and limited:
            key = workflow.concurrency.key_of(_without_files(values))
            return _start_limited(
                workflow, workflow.concurrency, key, values, run_id, owner=owner, **columns
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
    key: str,
    values: dict[str, Any],
    run_id: UUID | None,
    **columns: Any,
) -> Run:
    """Write a run of a workflow with a limit, or do what `when_full` says.

    The decision and the rows are one transaction, which no other start with this key comes between.
    """
    with transaction.atomic():
        runs_in_line.lock(workflow.name, key)
        has_place = runs_in_line.may_begin(workflow.name, key)
        if not has_place and concurrency.when_full != "queue":
            holding, in_line = (
                runs_in_line.holding(workflow.name, key),
                runs_in_line.in_line(workflow.name, key),
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


def _without_files(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are stored, but for files, which are stored later.

    Raises:
        InvalidParams: one of them is not JSON.
    """
    return as_json({name: value for name, value in values.items() if not has_file(value)})


def _cancel(run_id: UUID, why: str) -> None:
    with suppress(RunEnded):
        cancel(run_id, who=why)


def _already_there(
    workflow: Workflow, concurrency: Concurrency, key: str, there: Run, run_id: UUID | None
) -> Run:
    """Return the run that goes on already, if `when_full` is "return_existing".

    Raises:
        AlreadyRunning: `when_full` is "skip", or the new run must have the id `run_id`.
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
    concurrency = workflow.concurrency
    valid: list[dict[str, Any]] = []
    keys: list[str] = []
    errors: dict[int, Any] = {}
    for index, given in enumerate(params):
        try:
            values = validate(workflow, given)
            stored = _without_files(values)
            keys.append(concurrency.key_of(stored) if concurrency else "")
            valid.append(values)
        except InvalidParams as exc:
            errors[index] = exc.errors
    if errors:
        raise InvalidParams(errors)
    if concurrency is not None:
        each = zip(keys, valid, strict=True)
        return [_start_one(workflow, concurrency, key, values, owner) for key, values in each]
    runs: list[Run] = []
    for first in range(0, len(valid), BATCH):
        batch = valid[first : first + BATCH]
        runs += _write(workflow, batch, [uuid4() for _ in batch], owner=owner)
    return runs


def _start_one(
    workflow: Workflow,
    concurrency: Concurrency,
    key: str,
    values: dict[str, Any],
    owner: User | None,
) -> Run:
    try:
        return _start_limited(workflow, concurrency, key, values, None, owner=owner)
    except AlreadyRunning as exc:
        there: Run = exc.run
        return there


def _check(workflow: Workflow) -> None:
    # The same as the check `parent.E005`, which a web server does not run. An eager or inline run
    # needs no backend.
    if not (current_app.conf.task_always_eager or is_publishing_off()):
        problem = results.backend_problem(current_app.conf.result_backend)
        if problem:
            raise ImproperlyConfigured(f"{problem} {results.backend_hint()}")
    for problem, hint in (*steps_problems(workflow), *signal_problems(workflow)):
        raise InvalidWorkflow(f"Workflow {workflow.name!r}: {problem}. {hint}")


def _write(
    workflow: Workflow, params: Sequence[dict[str, Any]], ids: Sequence[UUID], **columns: Any
) -> list[Run]:
    """Write runs with these valid parameters in one transaction; publish when it commits."""
    new = NewRuns()
    stored: list[str] = []
    try:
        # The transaction only writes: on SQLite all other writers wait for its end. So the
        # authors' `inputs` of the first steps run here.
        for given, run_id in zip(params, ids, strict=True):
            values, files = store_files(given, run_id)
            stored += files
            new.add(workflow, as_json(values), clock.now(), id=run_id, files=files, **columns)
        new.convert()
        with transaction.atomic():
            new.write()
            pass_places_on_after_commit(new.in_line)
    except BaseException:
        delete_files(stored)
        raise
    for run in new.runs:
        run._state.adding, run._state.db = False, DEFAULT_DB_ALIAS  # as `save` does
        log_end(run)  # it has ended already if the inputs of its first steps raised
    return [run for run in new.runs if not run.is_child]
