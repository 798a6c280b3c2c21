"""Signals that have come to runs: what was given, by whom, and when."""

from django.db import models
from django.db.models.functions import Now

from parent.models.run import WHO_LENGTH, Run

__all__ = ["ReceivedSignal"]


class ReceivedSignal(models.Model):
    """What a signal of a run was given. The first one counts: there is one row for each name.

    Of a signal that feeds a mapped step each one has a key of its own, and a row.
    It may come before its step opens; the step takes it from here.
    """

    # The unique constraint serves for the signals of a run.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="signals", db_index=False)
    name = models.CharField(max_length=100, help_text="Of the signal, which is a step's name")
    key = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Of the item that it is, if it feeds a mapped step",
    )
    values = models.JSONField(help_text="As its serializer has validated them")
    who = models.CharField(max_length=WHO_LENGTH, blank=True, default="", help_text="A user's name")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "key"], name="signal_key_once"),
        ]

    def __str__(self) -> str:
        return self.name
