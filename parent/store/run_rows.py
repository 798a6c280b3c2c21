"""Reading and locking a run with its steps: all steps, or those that the end of one affects.

Reading 5,000 steps takes some hundred times as long as ending one of them. Doing that at the end of
each step would block all others that need the run, or on SQLite the database.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from parent.decisions.openings import Ended, ended
from parent.errors import UnknownRun
from parent.models import Awaits, Run, Step, StepState
from parent.store.kept_sql import select

__all__ = [
    "FAILED",
    "FULL_READ_LIMIT",
    "LARGE_OF_RUN",
    "LARGE_OF_STEP",
    "Locked",
    "UnreadSteps",
    "has_results",
    "lock_for_end",
    "lock_run",
    "lock_run_of",
    "lock_run_row",
    "lock_running",
    "read_run",
    "run_key",
    "steps_of",
]

FAILED = (StepState.ERROR, StepState.CANCELLED)

FULL_READ_LIMIT = 30
"""All steps are read of a run that has at most this many."""
LARGE_OF_RUN, LARGE_OF_STEP = ("files", "result"), ("kwargs", "checkpoint", "result")
"""Fields that may be large and that most transitions do not need."""
SKIP_DEPTH = 3
"""Levels of dependents that are read, one by one, before all steps are read instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadSteps:
    """What is known of the steps of a run that were not read.

    `ended`: how unread steps have ended, by name; only steps that are not OK and that a step that
    was read depends on. None for a step that has not ended. `active`: whether an unread step that
    is not a signal is queued or running; then the run goes on. `has_indirect`: whether the steps
    that depend indirectly on the ended step were read too.
    """

    run: Run
    ended: Mapping[str, Ended | None]
    active: bool
    has_indirect: bool

    def all_steps(self, loaded: Sequence[Step]) -> list[Step]:
        """All steps of the run; `loaded` ones as they are in memory."""
        known = {step.pk: step for step in loaded}
        return [known.get(step.pk, step) for step in steps_of(self.run)]

    def finished_steps(self, loaded: Sequence[Step]) -> list[Step]:
        """All steps of the run that have results, in order: `loaded` ones as they are in memory, of
        the others only the names.
        """
        known = {step.pk for step in loaded}
        failed_map = Q(state__in=FAILED, chunk__isnull=False, items__isnull=False)
        others = Step.objects.filter(Q(state=StepState.OK) | failed_map, run=self.run).only(
            "index", "name", "state", "chunk", "items"
        )
        finished = [step for step in loaded if has_results(step)]
        finished += [step for step in others if step.pk not in known]
        return sorted(finished, key=lambda step: step.index)


def has_results(step: Step) -> bool:
    """Whether later steps find results of it: it is OK, or a mapped step that failed with items."""
    if step.state in FAILED:
        return step.is_mapped and step.items is not None
    return step.state == StepState.OK


class Locked(NamedTuple):
    """A run whose row is locked until the transaction ends.

    `now` is the database's time. `unread` describes the steps that were not read; None if `steps`
    are all of the run's.
    """

    run: Run
    steps: list[Step]
    now: datetime
    unread: UnreadSteps | None = None


def run_key(run_id: UUID | str) -> UUID:
    """The key of the run's row.

    Raises:
        UnknownRun: no run can have that id.
    """
    try:
        return UUID(str(run_id))
    except ValueError:
        raise UnknownRun(f"There is no run {run_id!s:.100}.") from None


def lock_run(run_id: UUID | str) -> Locked | None:
    """Lock the run and read all its steps; None if no run has that id.

    Every transition first locks the run's row, and so does a tick before it writes to steps. So
    they cannot deadlock.
    """
    locked = lock_run_row(run_id)
    # Read the steps after locking: the last holder of the lock may have changed them.
    return locked and locked._replace(steps=steps_of(locked.run))


def read_run(run_id: UUID) -> Run | None:
    """The run, without what may be large; None if no run has that id."""
    rows = select(Run, "id = %s", [_as_key(run_id)], without=("params", *LARGE_OF_RUN))
    return next(iter(rows), None)


def lock_run_row(run_id: UUID | str) -> Locked | None:
    """Lock the run, and read none of its steps; None if no run has that id."""
    return _lock("id = %s", UUID(str(run_id)))


def lock_run_of(task_id: str) -> Locked | None:
    """Lock the run of this attempt, and read none of its steps; None if no step has it."""
    return _lock("id = (SELECT run_id FROM parent_step WHERE task_id = %s)", task_id)


def lock_running(step: Step) -> Locked | None:
    """Lock the run of a step that was read without a lock, and read none of its steps.

    None if that attempt does not run any more: what is done for it would be done to the next one.
    """
    locked = lock_run_row(step.run_id)
    same = Step.objects.filter(pk=step.pk, task_id=step.task_id, state=StepState.RUNNING)
    return locked if same.exists() else None


def lock_for_end(task_id: str, *, ok: bool) -> Locked | None:
    """Lock the run of this attempt; if it has many steps, read only those that its end affects.

    Args:
        ok: whether the attempt ends well.
    """
    locked = lock_run_of(task_id)
    if locked is None:
        return None
    run = locked.run
    steps = steps_of(run, at_most=FULL_READ_LIMIT + 1)
    if len(steps) <= FULL_READ_LIMIT:
        return locked._replace(steps=steps)
    steps, unread = _read_affected(run, task_id, ok=ok)
    return locked._replace(steps=steps, unread=unread)


def steps_of(run: Run, *, at_most: int | None = None) -> list[Step]:
    """All steps of the run, or the first `at_most`, in order, without their large fields."""
    limit = f" LIMIT {at_most}" if at_most is not None else ""
    where = f'run_id = %s ORDER BY "index"{limit}'
    return _with_run(run, select(Step, where, [_as_key(run.pk)], without=LARGE_OF_STEP))


def _lock(where: str, key: UUID | str) -> Locked | None:
    for run in select(Run, where, [_as_key(key)], without=LARGE_OF_RUN, lock=True):
        return Locked(run, [], run.db_now)
    return None


def _as_key(key: UUID | str) -> Any:
    """An id in the database's type."""
    return Run._meta.pk.get_db_prep_value(key, connection) if isinstance(key, UUID) else key


def _step_rows(run: Run) -> "QuerySet[Step]":
    return Step.objects.filter(run=run).defer(*LARGE_OF_STEP)


def _with_run(run: Run, rows: Iterable[Step]) -> list[Step]:
    steps = list(rows)
    for step in steps:
        step.run = run
    return steps


def _read_affected(run: Run, task_id: str, *, ok: bool) -> tuple[list[Step], UnreadSteps | None]:
    """The step with this attempt, and those that may open or be skipped when it ends; and what is
    known of the others, None if all steps were read.
    """
    ending = _with_run(run, _step_rows(run).filter(task_id=task_id))
    loaded = ending + _waiting_dependents(run, ending)
    if not ok and not _add_indirect_dependents(run, loaded):
        return steps_of(run), None
    others = Step.objects.filter(run=run, state__in=Step.ACTIVE).exclude(task_id=task_id)
    others = others.exclude(awaits=Awaits.SIGNAL)
    return loaded, UnreadSteps(
        run=run,
        ended=_unfinished_dependencies(run, loaded),
        active=others.exists(),
        has_indirect=not ok,
    )


def _add_indirect_dependents(run: Run, loaded: list[Step]) -> bool:
    """Add the dependents of the dependents, to be skipped; False if some are beyond `SKIP_DEPTH`.

    Args:
        loaded: a step, and those that wait for it directly.
    """
    level = loaded[1:]
    for _ in range(SKIP_DEPTH):
        known = {step.pk for step in loaded}
        level = [step for step in _waiting_dependents(run, level) if step.pk not in known]
        loaded += level
    return not level


def _waiting_dependents(run: Run, steps: Sequence[Step]) -> list[Step]:
    """The waiting steps that depend on one of these, or have one in their `unless`."""
    if not steps:
        return []
    names = [step.name for step in steps]
    if connection.vendor == "postgresql":
        # A null `unless` makes the second part null, which is as good as false here.
        depends = RawSQL(
            'parent_step."after" ?| %s OR parent_step."unless" ?| %s',
            [names, names],
            output_field=BooleanField(),
        )
    else:
        depends = RawSQL(
            'EXISTS (SELECT 1 FROM json_each(parent_step."after") AS name '
            "WHERE name.value IN (SELECT value FROM json_each(%s))) "
            'OR EXISTS (SELECT 1 FROM json_each(parent_step."unless") AS name '
            "WHERE name.value IN (SELECT value FROM json_each(%s)))",
            [json.dumps(names)] * 2,
            output_field=BooleanField(),
        )
    return _with_run(
        run, _step_rows(run).filter(depends, state=StepState.WAITING).order_by("index")
    )


def _unfinished_dependencies(run: Run, loaded: Sequence[Step]) -> dict[str, Ended | None]:
    """How unread steps have ended, by name, that are not OK and on which these depend."""
    names = {name for step in loaded for name in (*step.after, *(step.unless or ()))}
    names -= {step.name for step in loaded}
    if not names:
        return {}
    rows = Step.objects.filter(run=run).exclude(state=StepState.OK)
    if len(names) <= FULL_READ_LIMIT:
        rows = rows.filter(name__in=names)
    found = rows.order_by().values_list("name", "state", "optional", "unneeded")
    return {
        name: ended(state, optional, unneeded)
        for name, state, optional, unneeded in found
        if name in names
    }
