"""Checks of schedules: those that are late, that were refused, and that never come."""

from collections.abc import Iterator

from parent.definition.workflow import registry
from parent.models import FiringState, Schedule
from parent.operations.doctor.finding import EXAMPLES, OVERDUE, Finding
from parent.schedules.outlook import outlooks
from parent.schedules.rows import times_after
from parent.store import clock

__all__ = ["late", "off", "refused"]

PART = "schedules"


def late() -> Iterator[Finding]:
    """Schedules that a tick should have looked at, and those that a wrong clock took too far."""
    now = clock.now()
    for row in Schedule.objects.filter(due_at__lt=now - OVERDUE).order_by("due_at")[:EXAMPLES]:
        known = row.workflow in registry.names()
        seconds = (now - row.due_at).total_seconds() if row.due_at else 0.0
        yield Finding(
            part=PART,
            what=f"{row} is late by {seconds:.0f} s",
            do="Is a worker alive, and does it watch? See its log."
            if known
            else f"No app here has the workflow {row.workflow!r}: start a worker that has it "
            "(WORKFLOW_APPS), or pause the schedule.",
        )
    for row in Schedule.objects.filter(due_at__gt=now):
        ahead = times_after(row, now, 3)
        if row.next_at is not None and ahead and row.next_at > ahead[-1]:
            yield Finding(
                part=PART,
                what=f"{row} comes only at {row.next_at:%Y-%m-%d %H:%M:%S} UTC; the database's "
                "clock may have been ahead for a while",
                do=f"Run: python manage.py workflow schedules pause {row}; then resume it.",
            )


def refused() -> Iterator[Finding]:
    """Schedules whose last start was refused."""
    now = clock.now()
    rows = list(Schedule.objects.filter(removed_at=None))
    last = [seen.left_out for seen in outlooks(rows, now)]
    found = [firing for firing in last if firing and firing.state == FiringState.REFUSED]
    by_key = {row.pk: row for row in rows}
    for firing in found[:EXAMPLES]:
        row = by_key[firing.schedule_id]
        yield Finding(
            part=PART,
            what=f"the last start of {row} was refused: {firing.detail}",
            do="Correct its params in the admin or in the code; then run: python manage.py "
            f"workflow schedules run {row}",
        )


def off() -> Iterator[Finding]:
    """Schedules that are paused, or never come."""
    for row in Schedule.objects.filter(removed_at=None, paused_at__isnull=False)[:EXAMPLES]:
        yield Finding(
            part=PART,
            what=f"{row} was paused by {row.paused_by} at {row.paused_at:%Y-%m-%d %H:%M} UTC",
            do=f"To go on, run: python manage.py workflow schedules resume {row}",
        )
    for row in Schedule.objects.filter(removed_at=None).exclude(problem="")[:EXAMPLES]:
        yield Finding(part=PART, what=f"{row}: {row.problem}", do="Correct its times in the admin.")
