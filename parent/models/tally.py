"""Totals for /metrics."""

from django.db import models

__all__ = ["Tally"]


class Tally(models.Model):
    """What the watch has counted since the first run: one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    figures = models.JSONField(default=dict, help_text="As `parent.telemetry.metrics` has them")
    counted_until = models.DateTimeField(
        null=True, help_text="Runs that ended before are in the figures"
    )

    def __str__(self) -> str:
        return f"counted until {self.counted_until}"
