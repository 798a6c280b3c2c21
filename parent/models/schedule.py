"""Schedules, and what became of each of their times."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from parent.models.run import WHO_LENGTH, Run

__all__ = ["CatchUp", "Firing", "FiringState", "Overlap", "Schedule", "SkipReason"]


class Overlap(models.TextChoices):
    """What a start does while an earlier run of its schedule has not ended."""

    SKIP = "skip", "skip: leave the new one out"
    QUEUE = "queue", "queue: wait for its end"
    CANCEL_RUNNING = "cancel_running", "cancel_running: cancel it, then start"
    ALLOW = "allow", "allow: start beside it"


class CatchUp(models.TextChoices):
    """Which of the times that nobody watched start a run afterwards."""

    NONE = "none", "none"
    LATEST = "latest", "latest: only the last one"
    ALL = "all", "all: those within the window"


class Schedule(models.Model):
    """When a workflow starts by itself: declared in code and edited by staff, or made by staff."""

    workflow = models.CharField(max_length=100)
    name = models.CharField(max_length=100, default="default", help_text="Unique in its workflow.")
    cron = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Five fields: minute hour day month weekday. Or seconds, in the next field.",
    )
    every = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds between starts.")
    timezone = models.CharField(
        max_length=100, default="UTC", help_text="IANA name, such as Europe/Rome."
    )
    params = models.JSONField(default=dict, blank=True, help_text="The run's parameters, as JSON.")
    overlap = models.CharField(
        max_length=20,
        choices=Overlap,
        default=Overlap.SKIP,
        help_text="While an earlier run of this schedule has not ended.",
    )
    catch_up = models.CharField(
        max_length=10,
        choices=CatchUp,
        default=CatchUp.NONE,
        help_text="What starts afterwards of the times that no worker watched.",
    )
    window = models.PositiveIntegerField(
        default=86_400, help_text="Seconds; catch-up of all starts none that is older."
    )
    jitter = models.PositiveIntegerField(
        default=0, help_text="Each start is up to so many seconds later than its time."
    )

    declared = models.JSONField(null=True, help_text="As the code has it; null if staff made it")
    edited = models.JSONField(default=list, help_text="Fields in which staff differ from the code")
    edited_by = models.CharField(max_length=WHO_LENGTH, blank=True, default="")
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=WHO_LENGTH, blank=True, default="")
    removed_at = models.DateTimeField(null=True, help_text="When the code had it no more")
    next_at = models.DateTimeField(null=True, help_text="The next nominal time; null: never")
    due_at = models.DateTimeField(null=True, help_text="When a tick must look at it next")
    problem = models.TextField(blank=True, default="", help_text="Why it cannot come")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["workflow", "name"]
        indexes = [
            models.Index(fields=["due_at"], name="schedule_due", condition=Q(due_at__isnull=False))
        ]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "name"], name="schedule_named_once"),
            models.CheckConstraint(
                name="schedule_cron_or_every",
                condition=(Q(every__isnull=True) & ~Q(cron="")) | Q(cron="", every__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow}/{self.name}"

    @property
    def says_when(self) -> str:
        """The cron line with its zone, or the seconds."""
        return f"{self.cron} {self.timezone}" if self.cron else f"every {self.every} s"


class FiringState(models.TextChoices):
    """What became of a nominal time."""

    STARTED = "STARTED"
    WAITING = "WAITING"
    SKIPPED = "SKIPPED"
    REFUSED = "REFUSED"


class SkipReason(models.TextChoices):
    """Why no run was started."""

    OVERLAP = "overlap"
    QUEUE_FULL = "queue_full"
    REPLACED = "replaced"
    MISSED = "missed"
    PAUSED = "paused"
    EDITED = "edited"
    REMOVED = "removed"


class Firing(models.Model):
    """What became of one nominal time of a schedule, or of several in a row that were left out."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    nominal_at = models.DateTimeField()
    until = models.DateTimeField(null=True, help_text="The last one, where it is of several")
    count = models.PositiveIntegerField(null=True, default=1, help_text="Null: very many")
    state = models.CharField(max_length=10, choices=FiringState)
    reason = models.CharField(max_length=20, choices=SkipReason, blank=True, default="")
    detail = models.TextField(blank=True, default="")
    who = models.CharField(
        max_length=WHO_LENGTH, blank=True, default="", help_text="Who started it by hand"
    )
    # No constraint in the database: the release before, which does not know this table, could not
    # delete a run any more.
    run = models.ForeignKey(
        Run,
        null=True,
        on_delete=models.SET_NULL,
        related_name="firings",
        db_constraint=False,
    )
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-nominal_at"]
        indexes = [
            models.Index(
                fields=["schedule", "nominal_at"],
                name="firing_waiting",
                condition=Q(state="WAITING"),
            ),
            models.Index(fields=["at"], name="firing_at"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "nominal_at"], name="firing_once"),
            models.CheckConstraint(
                name="firing_state_known",
                condition=Q(state__in=["STARTED", "WAITING", "SKIPPED", "REFUSED"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.nominal_at} {self.state}"
