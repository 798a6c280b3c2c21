"""Summaries of runs' steps, computed by the database: one row for each run."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import (
    Case,
    F,
    FloatField,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)

from parent.decisions.summary import Summary
from parent.models import Run, Step, StepState

__all__ = ["read_summaries"]

DONE = F("weight") * Case(
    When(
        Q(state=StepState.OK) | Q(unneeded=True) | Q(state=StepState.ERROR, optional=True),
        then=Value(100.0),
    ),
    default=F("completion"),
    output_field=FloatField(),
)

PROGRESSED = Case(
    When(Q(state=StepState.OK) | Q(reported_at__isnull=False), then=Value(1)),
    default=Value(0),
    output_field=IntegerField(),
)

SHOWN_FIRST = Case(
    When(state=StepState.RUNNING, awaits="", then=Value(0)),
    When(state=StepState.ERROR, optional=False, then=Value(1)),
    When(state=StepState.QUEUED, then=Value(2)),
    When(state=StepState.RUNNING, then=Value(3)),
    When(state=StepState.OK, then=Value(4)),
    default=Value(5),
    output_field=IntegerField(),
)
"""Order of the states in choosing the step that a run shows; as `parent.decisions.summary` does."""

PLACE = Case(
    When(state=StepState.OK, then=-F("index")),
    default=F("index"),
    output_field=IntegerField(),
)
"""Order within one state: the first step, but among steps that are OK the last."""


def read_summaries(run_ids: Collection[UUID]) -> dict[UUID, Summary]:
    """The present summaries of these runs, by the runs' ids. Two statements."""
    first = Step.objects.filter(run=OuterRef("pk")).order_by(SHOWN_FIRST, PLACE).values("pk")[:1]
    runs = Run.objects.filter(pk__in=run_ids).annotate(shown=Subquery(first))
    columns = (
        *("run_id", "name", "state", "iteration", "total", "message", "error"),
        *("items", "awaits"),
    )
    shown = {
        step.run_id: step
        for step in Step.objects.filter(pk__in=runs.values("shown")).only(*columns)
    }
    sums = (
        Step.objects.filter(run__in=run_ids)
        .order_by()
        .values("run_id")
        .annotate(
            all_weight=Sum("weight"),
            done=Sum(DONE),
            progressed=Max(PROGRESSED),
            started_at=Min("started_at"),
        )
    )
    return {
        row["run_id"]: Summary(
            weight=row["all_weight"],
            done=row["done"],
            progressed=bool(row["progressed"]),
            started_at=row["started_at"],
            shown=shown[row["run_id"]],
        )
        for row in sums
    }
