"""Worker processes, and the lease of the one that may tick."""

from uuid import uuid4

from django.db import models
from django.db.models.functions import Now

__all__ = ["Executor", "WatchLease"]


class Executor(models.Model):
    """One boot of a worker process. Each heartbeat renews its lease on what it runs."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    pool = models.CharField(max_length=50, blank=True, default="", db_default="")
    queues = models.JSONField(default=list, help_text="What it consumes")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now(), db_index=True)
    received_until = models.DateTimeField(
        null=True, help_text="Until when its steps show which messages it has received"
    )
    clock_at = models.DateTimeField(null=True, help_text="The same moment by its own clock")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class WatchLease(models.Model):
    """The right to tick: one row, held by one executor at a time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.UUIDField(null=True)
    expires_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"held by {self.holder}"
