"""Reading and locking a run with its steps: all of them, or those that an end concerns.

To read 5,000 steps takes some hundred times as long as to end one of them. At each of their ends
it would hold up whoever else needs the run, or on SQLite the database.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat

from parent.models import Run, Step, StepState
from parent.store.kept_select import select

__all__ = [
    "FEW",
    "Locked",
    "Rest",
    "attempt_in_state",
    "lock_for_end",
    "lock_run",
    "lock_run_alone",
    "lock_run_of",
    "steps_of",
]

FEW = 30
"""Steps of a run that are always all read."""
LARGE_OF_RUN, LARGE_OF_STEP = ("files", "result"), ("kwargs", "result")
"""What may be large, and most transitions do not need."""
FAR = 3
"""Steps, one after the other, that are skipped before all are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """The steps of a run that were not read.

    `states` are of those that others which were read come after, and that are not OK; `active`:
    one of them is queued or runs, so that the run goes on.
    """

    run: Run
    states: Mapping[str, StepState]
    active: bool

    def all_with(self, near: Sequence[Step]) -> list[Step]:
        """All steps of the run, with those that were read before as they are in memory."""
        known = {step.pk: step for step in near}
        return [known.get(step.pk, step) for step in steps_of(self.run)]

    def finished_with(self, near: Sequence[Step]) -> list[Step]:
        """All steps of the run that are OK, in order: those that were read as they are in memory,
        of the others only their names.
        """
        known = {step.pk for step in near}
        others = Step.objects.filter(run=self.run, state=StepState.OK).only("index", "name")
        finished = [step for step in near if step.state == StepState.OK]
        finished += [step for step in others if step.pk not in known]
        return sorted(finished, key=lambda step: step.index)


class Locked(NamedTuple):
    """A run whose row is locked until the transaction ends.

    `now` is the database's time. `rest` says what there is to know of the steps that were not
    read; None where `steps` are all of the run's.
    """

    run: Run
    steps: list[Step]
    now: datetime
    rest: Rest | None = None


def lock_run(run_id: UUID | str) -> Locked | None:
    """Lock the run and read all its steps; None where there is none of that id.

    Every transition begins with a lock of the run's own row, as the tick does before it writes to
    steps: so no two of them wait for each other in a circle.
    """
    locked = lock_run_alone(run_id)
    # The steps are read once the lock is held: its last holder may have changed them.
    return locked and locked._replace(steps=steps_of(locked.run))


def lock_run_alone(run_id: UUID | str) -> Locked | None:
    """Lock the run, and read none of its steps; None where there is none of that id."""
    return _lock("id = %s", UUID(str(run_id)))


def lock_run_of(task_id: str) -> Locked | None:
    """Lock the run of this attempt, and read none of its steps."""
    return _lock("id = (SELECT run_id FROM parent_step WHERE task_id = %s)", task_id)


def lock_for_end(task_id: str, *, ok: bool) -> Locked | None:
    """Lock the run of this attempt; of very many steps read only those that its end concerns.

    Args:
        ok: whether the attempt ends well.
    """
    locked = lock_run_of(task_id)
    if locked is None:
        return None
    run = locked.run
    steps = steps_of(run, at_most=FEW + 1)
    if len(steps) <= FEW:
        return locked._replace(steps=steps)
    steps, rest = _steps_near(run, task_id, ok=ok)
    return locked._replace(steps=steps, rest=rest)


def attempt_in_state(task_id: str, state: StepState) -> "QuerySet[Step]":
    """The step with this attempt, if it is in this state.

    The state is an expression, which no index has. With statistics from a time when few rows had
    that state, PostgreSQL would rather read all that have it now than use the index of task ids.
    """
    steps = Step.objects.alias(state_as_text=Concat("state", Value("")))
    return steps.filter(task_id=task_id, state_as_text=state)


def steps_of(run: Run, *, at_most: int | None = None) -> list[Step]:
    """All steps of the run, or the first of them, in order, without what is read on demand."""
    limit = f" LIMIT {at_most}" if at_most is not None else ""
    where = f'run_id = %s ORDER BY "index"{limit}'
    return _of(run, select(Step, where, [_as_key(run.pk)], without=LARGE_OF_STEP))


def _lock(where: str, key: UUID | str) -> Locked | None:
    for run in select(Run, where, [_as_key(key)], without=LARGE_OF_RUN, lock=True):
        return Locked(run, [], run.db_now)
    return None


def _as_key(key: UUID | str) -> Any:
    """An id as the database has it."""
    return Run._meta.pk.get_db_prep_value(key, connection) if isinstance(key, UUID) else key


def _steps(run: Run) -> "QuerySet[Step]":
    return Step.objects.filter(run=run).defer(*LARGE_OF_STEP)


def _of(run: Run, rows: Iterable[Step]) -> list[Step]:
    steps = list(rows)
    for step in steps:
        step.run = run
    return steps


def _steps_near(run: Run, task_id: str, *, ok: bool) -> tuple[list[Step], Rest | None]:
    """The step with this attempt, and those that may open or be skipped when it ends; and what
    there is to know of the others: None where all steps were read.
    """
    ending = _of(run, _steps(run).filter(task_id=task_id))
    near, states = ending + _after(run, ending), dict[str, StepState]()
    if ok:
        states = _not_ok(run, near)
    elif not _add_what_is_skipped(run, near):
        return steps_of(run), None
    others = Step.objects.filter(run=run, state__in=Step.ACTIVE).exclude(task_id=task_id)
    return near, Rest(run=run, states=states, active=others.exists())


def _add_what_is_skipped(run: Run, near: list[Step]) -> bool:
    """Add to a step and those right after it what comes after these; False where that goes far."""
    last = near[1:]
    for _ in range(FAR):
        seen = {step.pk for step in near}
        last = [step for step in _after(run, last) if step.pk not in seen]
        near += last
    return not last


def _after(run: Run, steps: Sequence[Step]) -> list[Step]:
    """Those that wait for one of these."""
    if not steps:
        return []
    names = [step.name for step in steps]
    if connection.vendor == "postgresql":
        waits = RawSQL('parent_step."after" ?| %s', [names], output_field=BooleanField())
    else:
        waits = RawSQL(
            'EXISTS (SELECT 1 FROM json_each(parent_step."after") AS name '
            "WHERE name.value IN (SELECT value FROM json_each(%s)))",
            [json.dumps(names)],
            output_field=BooleanField(),
        )
    return _of(run, _steps(run).filter(waits, state=StepState.WAITING).order_by("index"))


def _not_ok(run: Run, near: Sequence[Step]) -> dict[str, StepState]:
    """The states of those that these come after, are not among them, and are not OK."""
    names = {name for step in near for name in step.after} - {step.name for step in near}
    if not names:
        return {}
    rows = Step.objects.filter(run=run).exclude(state=StepState.OK)
    if len(names) <= FEW:
        rows = rows.filter(name__in=names)
    states = rows.order_by().values_list("name", "state")
    return {name: StepState(state) for name, state in states if name in names}
