"""Reading a run's steps: all of them, or of very many those that an end concerns.

To read 5,000 steps takes some hundred times as long as to end one of them. At each of their ends
it would hold up whoever else needs the run, or on SQLite the database.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from parent.decisions.plan import ACTIVE
from parent.models import Run, Step, StepState
from parent.store.large_results import largest_inline, result_sql, size_sql
from parent.store.prepared import fetch
from parent.store.rows import Select, as_key, select_all
from parent.store.tables import Table

__all__ = ["FEW", "Rest", "steps_near", "steps_of"]

FINISHED = Table(Step, "id", "index", "name", "state", "result", "result_size")

FEW = 30
"""Steps of a run that are always all read."""
FAR = 3
"""Steps, one after the other, that are skipped before all are read."""


def steps_of(run: Run) -> list[Step]:
    """All steps of the run, in order, without what they were given."""
    (steps,) = select_all(Select(Step, 'run_id = %s ORDER BY "index"', run.pk, without=("kwargs",)))
    return _of(run, steps)


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
        of the others only names and results.
        """
        known = {step.pk: step for step in near}
        result = result_sql("parent_step", largest_inline())
        columns = FINISHED.sql(result=result, result_size=size_sql("parent_step"))
        sql = f"SELECT {columns} FROM parent_step WHERE run_id = %s AND state = 'OK'"  # noqa: S608
        others = [FINISHED.row(row) for row in fetch(sql, [as_key(self.run.pk)])]
        finished = [step for step in near if step.state == StepState.OK]
        finished += [step for step in others if step.pk not in known]
        return sorted(finished, key=lambda step: step.index)


def steps_near(run: Run, task_id: str, *, ok: bool) -> tuple[list[Step], Rest | None]:
    """The step with this attempt, and those that may open or be skipped when it ends.

    Args:
        run: locked.
        ok: whether it ends well.

    Returns:
        The steps, and what there is to know of the others: None where all steps were read.
    """
    ending = _of(run, Step.objects.filter(run=run, task_id=task_id).defer("kwargs"))
    near, states = ending + _after(run, ending), dict[str, StepState]()
    if ok:
        states = _not_ok(run, near)
    elif not _add_what_is_skipped(run, near):
        return steps_of(run), None
    others = Step.objects.filter(run=run, state__in=ACTIVE).exclude(task_id=task_id)
    return near, Rest(run=run, states=states, active=others.exists())


def _add_what_is_skipped(run: Run, near: list[Step]) -> bool:
    """Add to a step and those right after it what comes after these; False where that goes far."""
    last = near[1:]
    for _ in range(FAR):
        seen = {step.pk for step in near}
        last = [step for step in _after(run, last) if step.pk not in seen]
        near += last
    return not last


def _of(run: Run, steps: Iterable[Step]) -> list[Step]:
    steps = list(steps)
    for step in steps:
        step.run = run
    return steps


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
    waiting = Step.objects.filter(waits, run=run, state=StepState.WAITING).defer("kwargs")
    return _of(run, waiting.order_by("index"))


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
