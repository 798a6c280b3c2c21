"""Retention: runs that ended long ago are deleted, a few at a time."""

import time
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from parent.deletion.delete import delete_ended
from parent.models import Run

__all__ = ["prune", "prune_all"]

BATCH = 500
"""Runs that one transaction of `prune_all` deletes at most."""


PAUSE = 0.1
"""Seconds in which all get their turn who wait to write to SQLite: they look this often, at least
(`sqliteDefaultBusyCallback`).
"""


def prune(older_than: timedelta, *, at_most: int) -> int:
    """Delete runs that ended before `older_than` ago, the oldest first; returns how many."""
    old = Run.objects.filter(finished_at__lt=Now() - older_than).order_by("finished_at")
    return delete_ended(old, at_most=at_most)


def prune_all(older_than: timedelta) -> int:
    """Delete all of them, and let others write in between; returns how many."""
    pruned = 0
    while batch := prune(older_than, at_most=BATCH):
        pruned += batch
        if connection.vendor == "sqlite":
            time.sleep(PAUSE)
    return pruned
