"""When a run must end because of its time: past its deadline, or nothing happens in it."""

from datetime import datetime, timedelta

from parent.conf import setting
from parent.models import Run

__all__ = ["overdue"]


def overdue(
    run: Run, now: datetime, *, ended_at: datetime | None, retried_at: datetime | None
) -> str | None:
    """Return why the run must end now, or None, also if it has ended.

    Args:
        ended_at: when the last of its steps ended.
        retried_at: when a user last retried it.
    """
    if run.ended:
        return None
    begun_at = retried_at or run.created_at
    if run.deadline_at is not None and now >= run.deadline_at:
        allowed = (run.deadline_at - begun_at).total_seconds()
        return f"{run.workflow} did not finish within {allowed:g} s"
    limit = setting("QUEUE_TIMEOUT")
    # Since when nothing has happened in the run.
    idle_since = max(filter(None, (ended_at, run.started_at, begun_at)))
    if limit and now >= idle_since + timedelta(seconds=limit):
        return (
            f"{run.workflow} did not go on within {limit:g} s: "
            "no worker that was asked knows the steps of this run"
        )
    return None
