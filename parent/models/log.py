"""What attempts have logged."""

from django.db import models
from django.db.models.functions import Now

from parent.models.item import LONGEST_KEY
from parent.models.step import Step

__all__ = ["LogChunk"]


class LogChunk(models.Model):
    """Lines that one attempt has logged, one after another: as many as were stored at once.

    Each line is a list: its number in the attempt, from 1; the seconds since 1970; its level, a
    number of `logging`; the name of its logger; its text. Lines between two chunks of an attempt
    were left out if their numbers have a gap.
    """

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="log")
    item = models.CharField(
        max_length=LONGEST_KEY, blank=True, default="", help_text="The key of a mapped step's item"
    )
    attempt = models.PositiveIntegerField()
    task_id = models.CharField(max_length=36, help_text="Celery's id of the attempt")
    first = models.PositiveIntegerField(help_text="The number of its first line")
    lines = models.JSONField()
    stored_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["task_id", "first"], name="log_chunk_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}: {len(self.lines)} lines from {self.first}"
