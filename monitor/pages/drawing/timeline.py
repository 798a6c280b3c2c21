"""The timeline of a run: when each attempt of each step was queued, and when it ran."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.runs.titles import step_titles, titled_reason
from parent.definition.parent_task import NAME_PREFIX
from parent.models import Attempt, Run, Step, StepState

__all__ = ["LENGTH", "Row", "Span", "Timeline", "draw", "timeline_of"]

LENGTH = 1000
"""The drawing's width in SVG units."""
SHORTEST = 3

LOOKS = {
    StepState.OK: "ok",
    StepState.ERROR: "failed",
    StepState.CANCELLED: "cancelled",
    StepState.SKIPPED: "skipped",
}

IMPORTANCE = {StepState.ERROR: 0, StepState.RUNNING: 1, StepState.OK: 2, StepState.QUEUED: 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of an attempt.

    `look` is `queued`, `running`, `ok`, `failed`, `cancelled` or `skipped`.
    """

    attempt: int
    look: str
    seconds: float
    x: float
    width: float
    goes_on: bool = False
    """Whether the bar ends now, because what it shows has not ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A step's spans by time; none before its first attempt.

    `index` is that of the step in its run. `idle` says why there are no spans. `has_log`: a child
    has begun, which may have logged.
    """

    index: int
    name: str
    title: str
    spans: Sequence[Span]
    idle: str
    has_log: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """All steps on one scale, from the run's start to its end, or to now."""

    seconds: float
    rows: Sequence[Row]
    more: int = 0
    """How many steps of the run are left out."""


def timeline_of(
    run: Run,
    steps: Sequence[Step],
    *,
    now: datetime,
    most: int | None = None,
    first: Collection[int] = (),
) -> Timeline:
    """The timeline of a run. It takes one statement, for the earlier attempts.

    Args:
        most: the most steps to draw; None for all. Failed ones go first, then running ones.
        first: the indexes of steps that go before these.
    """

    def importance(step: Step) -> tuple[bool, int]:
        return step.index not in first, IMPORTANCE.get(StepState(step.state), len(IMPORTANCE))

    chosen = sorted(steps, key=importance)
    chosen = sorted(chosen[:most], key=lambda step: step.index)
    earlier: dict[int, list[Attempt]] = {}
    for attempt in Attempt.objects.filter(step__run=run).defer("traceback"):
        earlier.setdefault(attempt.step_id, []).append(attempt)
    return replace(draw(run, chosen, earlier, now=now), more=len(steps) - len(chosen))


def draw(
    run: Run, steps: Sequence[Step], earlier: dict[int, list[Attempt]], *, now: datetime
) -> Timeline:
    """The timeline of rows.

    Args:
        earlier: attempts before the current one, in order, by their step's primary key.
    """
    end = run.finished_at or now
    scale = _Scale(
        start=run.created_at, end=max(end, run.created_at), ended=run.finished_at is not None
    )
    names = {name for step in steps for name in (step.name, *step.after)}
    titles = step_titles(run.workflow, names)
    rows = [
        _row(step, titles, list(_spans(step, earlier.get(step.pk, []), scale))) for step in steps
    ]
    return Timeline(seconds=scale.seconds, rows=rows)


def _row(step: Step, titles: Mapping[str, str], spans: Sequence[Span]) -> Row:
    is_child = not step.awaits and not step.task.startswith(NAME_PREFIX)
    return Row(
        index=step.index,
        name=step.name,
        title=titles[step.name],
        spans=spans,
        idle=titled_reason(step, titles) or "not begun",
        has_log=is_child and any(span.look != "queued" for span in spans),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    end: datetime
    ended: bool = False

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    def span(self, attempt: int, look: str, start: datetime, end: datetime | None) -> Span | None:
        """From `start` to `end`, or to the end of the scale; None if it begins after that."""
        if start > self.end:
            return None
        until = min(end or self.end, self.end)
        seconds = max(0.0, (until - start).total_seconds())
        unit = LENGTH / self.seconds if self.seconds else 0
        x = max(0.0, (start - self.start).total_seconds()) * unit
        width = max(seconds * unit, SHORTEST)
        # A span too short to be seen is drawn wider, but not over the edge.
        x = min(x, LENGTH - width)
        return Span(
            attempt=attempt,
            look=look,
            seconds=seconds,
            x=round(x, 2),
            width=round(width, 2),
            goes_on=end is None and not self.ended,
        )


def _spans(step: Step, earlier: Iterable[Attempt], scale: _Scale) -> Iterator[Span]:
    for attempt in earlier:
        yield from _attempt(attempt, attempt.number, "failed" if attempt.error else "ok", scale)
    if step.attempt:
        look = LOOKS.get(StepState(step.state), "running")
        yield from _attempt(step, step.attempt, look, scale)


def _attempt(row: Step | Attempt, number: int, look: str, scale: _Scale) -> Iterator[Span]:
    parts = []
    if row.queued_at:
        parts.append(scale.span(number, "queued", row.queued_at, row.started_at or row.finished_at))
    if row.started_at:
        parts.append(scale.span(number, look, row.started_at, row.finished_at))
    yield from filter(None, parts)
