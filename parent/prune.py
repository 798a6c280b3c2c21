"""Retention: runs that ended long ago are deleted, a few at a time."""

from datetime import timedelta

from django.db.models.functions import Now

from parent.errors import RunActive
from parent.models import Run
from parent.remove import remove

__all__ = ["prune"]


def prune(older_than: timedelta, *, at_most: int) -> int:
    """Delete runs that ended before `older_than` ago, the oldest first; returns how many."""
    old = Run.objects.filter(finished_at__lt=Now() - older_than).order_by("finished_at")
    pruned = 0
    for run in old[:at_most]:
        try:
            remove(run)
        except RunActive:
            continue  # somebody has just retried it
        pruned += 1
    return pruned
