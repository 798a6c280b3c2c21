"""Retention: runs that ended long ago are deleted, in batches."""

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
"""Seconds between two batches on SQLite, so that all who wait to write can: SQLite tries again at
least this often (`sqliteDefaultBusyCallback`).
"""


def prune(older_than: timedelta, *, at_most: int) -> int:
    """Delete runs that ended longer ago than `older_than`, the oldest first; returns how many."""
    old = Run.objects.filter(finished_at__lt=Now() - older_than).order_by("finished_at")
    return delete_ended(old, at_most=at_most)


def prune_all(older_than: timedelta) -> int:
    """Delete all such runs, and let others write between the batches; returns how many."""
    pruned = 0
    while batch := prune(older_than, at_most=BATCH):
        pruned += batch
        if connection.vendor == "sqlite":
            time.sleep(PAUSE)
    return pruned
