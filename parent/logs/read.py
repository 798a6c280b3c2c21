"""Reads the kept logs of a run, and of the runs inside of it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from parent.models import LogChunk, Run
from parent.runs.nested.tree import with_inner_runs

__all__ = ["LEVELS", "LogLine", "LogPage", "read_log"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""The levels by which a log can be narrowed, the lowest first."""
MOST_LINES = 1_000
"""Lines of one page, and those of the chunk that fills it."""
SETTLED_AFTER = timedelta(seconds=5)
"""A chunk that is this old has no older one that is still to be committed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """One line. `id` is the same whenever it is read; `number` counts in the attempt from 1."""

    id: str
    run_id: UUID
    step: str
    item: str
    attempt: int
    number: int
    at: datetime
    level: int
    logger: str
    text: str

    @property
    def level_name(self) -> str:
        return logging.getLevelName(self.level)

    def as_text(self) -> str:
        """One line of a text file; further lines of its text are indented."""
        at = self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        of_step = f"{self.step}[{self.item}]" if self.item else self.step
        text = self.text.replace("\n", "\n    ")
        return f"{at} {self.level_name} {of_step} #{self.attempt} {self.logger}: {text}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPage:
    """Lines in the order in which they were stored.

    `next`: the place to read on from. While the run goes on, lines of the last seconds come again
    from there: those with the same ids. `more`: there are more lines already.
    """

    lines: Sequence[LogLine]
    next: int
    more: bool


def read_log(
    run: Run,
    *,
    after: int = 0,
    step: str | None = None,
    item: str | None = None,
    attempt: int | None = None,
    level: int = 0,
) -> LogPage:
    """Read a page of the log.

    Args:
        after: `next` of the page before.
        step, item, attempt: only of these.
        level: the lowest level, a number of `logging`.
    """
    runs = with_inner_runs(run.pk)
    chunks: QuerySet[Any] = LogChunk.objects.filter(step__run__in=runs, pk__gt=after)
    narrowed = {"step__name": step, "item": item, "attempt": attempt}
    chunks = chunks.filter(**{name: value for name, value in narrowed.items() if value is not None})
    columns = ("pk", "step__run_id", "step__name", "item", "attempt", "lines", "stored_at")
    rows = chunks.annotate(db_now=Now()).order_by("pk").values_list(*columns, "db_now")
    lines: list[LogLine] = []
    place, settled, more = after, True, False
    for pk, run_id, name, key, number, stored, stored_at, now in rows.iterator(chunk_size=50):
        if len(lines) >= MOST_LINES:
            more = True
            break
        lines += _lines(pk, run_id, name, key, number, stored, level)
        settled = settled and now - stored_at > SETTLED_AFTER
        if settled or run.ended:
            place = pk
    if more and lines:
        place = max(place, int(lines[-1].id.partition(".")[0]))
    return LogPage(lines=lines, next=place, more=more)


def _lines(
    pk: int, run_id: UUID, step: str, item: str, attempt: int, stored: Any, level: int
) -> Iterator[LogLine]:
    for number, at, of_level, logger, text in stored:
        if of_level >= level:
            yield LogLine(
                id=f"{pk}.{number}",
                run_id=run_id,
                step=step,
                item=item,
                attempt=attempt,
                number=number,
                at=datetime.fromtimestamp(at, UTC),
                level=of_level,
                logger=logger,
                text=text,
            )
