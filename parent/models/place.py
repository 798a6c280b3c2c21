"""Places of limits that steps share, and the sizes that staff set."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from parent.models.run import WHO_LENGTH

__all__ = ["LimitSize", "Place"]


class Place(models.Model):
    """An attempt of a step or an item, in the line of one limit.

    It counts only while the attempt, which `task_id` names, is QUEUED or RUNNING: the update that
    ends the attempt frees the place. Of a rate it counts for the period after `taken_at`.
    """

    name = models.CharField(max_length=100, help_text="Of the limit")
    task_id = models.CharField(max_length=36, help_text="Celery's id of the attempt")
    # No foreign keys: what has begun counts in a rate although its run is deleted.
    run_id = models.UUIDField()
    step = models.CharField(max_length=310, help_text="The name of the step or the item")
    since = models.DateTimeField(db_default=Now(), help_text="When it began to wait")
    taken_at = models.DateTimeField(null=True, help_text="When it got the place")

    class Meta:
        indexes = [
            models.Index(
                fields=["name", "since", "id"], name="place_line", condition=Q(taken_at=None)
            ),
            models.Index(
                fields=["name", "taken_at"], name="place_taken", condition=Q(taken_at__isnull=False)
            ),
        ]
        verbose_name = "place of a limit"
        verbose_name_plural = "places of limits"
        constraints = [
            models.UniqueConstraint(fields=["task_id", "name"], name="place_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.step}"


class LimitSize(models.Model):
    """The size of a limit that staff set in place of the setting's, until they delete it."""

    name = models.CharField(max_length=100, unique=True, help_text="A name in WORKFLOW_LIMITS.")
    size = models.CharField(
        max_length=20, help_text="How many are active at a time (2), or a rate (100/m, also s h d)."
    )
    edited_by = models.CharField(max_length=WHO_LENGTH, blank=True, default="")
    edited_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "size of a limit"
        verbose_name_plural = "sizes of limits"

    def __str__(self) -> str:
        return f"{self.name} = {self.size}"
