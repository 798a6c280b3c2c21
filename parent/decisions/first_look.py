"""When a tick must first look at a step that has been claimed."""

from collections.abc import Iterable
from datetime import datetime, timedelta

__all__ = ["SOON", "first_look"]

SOON = timedelta(seconds=1)
"""How old a run's row may be before a tick updates it from its steps."""


def first_look(
    run_row_due: datetime | None, limits: Iterable[float | None]
) -> datetime | timedelta | None:
    """A time; or a time after the claim; or None: no tick needs to look.

    Args:
        run_row_due: when a tick must update the run's row; it sets the step's next look as well.
            So the many steps that end before that need no statement for their limits.
        limits: seconds that the step may run; None is no limit.
    """
    first = min((limit for limit in limits if limit), default=None)
    if first is None or (run_row_due is not None and first >= SOON.total_seconds()):
        return run_row_due
    return timedelta(seconds=first)
