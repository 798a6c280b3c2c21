"""Notifications: rules that staff edit, and the outbox of what is to be delivered."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from parent.models.run import Run
from parent.models.schedule import Firing, Schedule

__all__ = ["Delivery", "DeliveryState", "NotificationKind", "NotificationRule", "StoppedWebhook"]


class NotificationKind(models.TextChoices):
    """How somebody is told. CODE becomes others once a process with the workflow's code sees it."""

    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"
    CODE = "code", "rules in code that the process which wrote the change did not have"


class NotificationRule(models.Model):
    """A rule beside those in code: who is told of which changes of which workflow's runs."""

    workflow = models.CharField(
        max_length=100, blank=True, default="", help_text="Empty is every workflow"
    )
    kind = models.CharField(max_length=10, choices=NotificationKind)
    on = models.JSONField(default=list, help_text="Some of `OCCASIONS`")
    to = models.JSONField(default=list, blank=True, help_text="Recipients of an e-mail")
    url = models.CharField(max_length=2_000, blank=True, default="")
    secret = models.CharField(max_length=200, blank=True, default="")
    old_secret = models.CharField(max_length=200, blank=True, default="")
    old_secret_until = models.DateTimeField(
        null=True, help_text="Until then the secret before also signs"
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # Each start and each end of a run asks whether there are any for its workflow.
            models.Index(fields=["workflow"], name="rule_enabled", condition=Q(enabled=True))
        ]

    def __str__(self) -> str:
        target = self.url if self.kind == NotificationKind.WEBHOOK else ", ".join(self.to)
        return f"{self.workflow or 'all workflows'}: {', '.join(self.on)} to {target}"


class DeliveryState(models.TextChoices):
    """What became of a delivery. Only WAITING ones are tried."""

    WAITING = "waiting", "waiting"
    DELIVERED = "delivered", "delivered"
    FAILED = "failed", "failed: given up"
    DROPPED = "dropped", "dropped: nobody wants it"


class Delivery(models.Model):
    """One notification for one target: a row of the outbox, and later of the log.

    It is written in the transaction of the change. It is about a run, or about a time of a schedule
    that has started none. `due_at` is when it is tried next; while a process tries it, when another
    may. `claim` names the try that counts. `lane` is what is tried by one at a time: the e-mail
    server, or a host of webhooks.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="deliveries")
    # No constraint in the database: the release before, which does not know this column, could not
    # delete a schedule any more.
    firing = models.ForeignKey(
        Firing,
        null=True,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_constraint=False,
        help_text="The time of a schedule that it is about, instead of a run",
    )
    rule = models.ForeignKey(
        NotificationRule, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    in_code = models.BooleanField(default=False, help_text="The rule is in the workflow's code")
    occasion = models.CharField(max_length=30)
    kind = models.CharField(max_length=10, choices=NotificationKind)
    target = models.TextField(help_text="The URL, or the recipients")
    lane = models.CharField(max_length=300)
    body = models.TextField(help_text="JSON; each try sends the same")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, db_default=Now())
    claim = models.UUIDField(null=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="The last answer's HTTP status")
    error = models.TextField(blank=True, default="", help_text="What went wrong at the last try")
    log = models.JSONField(default=list, help_text="The last tries: when, how long, the outcome")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(state="waiting")),
            models.Index(fields=["-created_at", "-id"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.occasion} of {self.subject} to {self.target}"

    @property
    def occasion_words(self) -> str:
        """The occasion as people read it."""
        return self.occasion.replace("_", " ")

    @property
    def subject(self) -> str:
        """What it is about: the run's id, or the schedule."""
        if self.firing_id is None:
            return str(self.run_id)
        return str(self.schedule or "a deleted schedule")

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that it is about; None if it is about a run, or if that was deleted."""
        try:
            return self.firing.schedule if self.firing is not None else None
        except Firing.DoesNotExist:
            return None  # the release before, which does not know this row, deleted it

    @property
    def workflow(self) -> str:
        """The name of the workflow; empty if what it is about was deleted."""
        if self.run is not None:
            return self.run.workflow
        return self.schedule.workflow if self.schedule is not None else ""

    @property
    def message_id(self) -> str:
        """The same for each try, so that a receiver recognizes one that comes twice."""
        return f"msg_{self.pk.hex}"


class StoppedWebhook(models.Model):
    """A URL that has answered 410 Gone: nothing is sent there until somebody deletes this row."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="SHA-256 of the URL")
    url = models.TextField()
    stopped_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.url
