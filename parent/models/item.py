"""Items of mapped steps, and how many of them have ended in which way."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from children.meta import Status
from parent.models.executor import Executor
from parent.models.fields import MetaFields
from parent.models.run import Run
from parent.models.step import Step, StepState, is_in_line

__all__ = ["SLOTS", "Item", "ItemCount"]

SLOTS = 16
"""Rows that share the counts of one step: those who finish items do not wait for each other."""
LONGEST_KEY = 200


class Item(MetaFields):
    """One item of a mapped step, with its present attempt.

    It answers to the names that the engine reads of a step: what is the same for all items, such
    as the limits, is its step's. So the same code publishes, watches and ends attempts of both.
    """

    ACTIVE = Step.ACTIVE
    LEFT = (StepState.WAITING, *ACTIVE)

    child_params: Any = None
    child_place_key: str | None = None
    """Set while an item that is a run opens, as on a nested `Step`."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="rows", db_index=False)
    index = models.PositiveIntegerField()
    key = models.CharField(max_length=LONGEST_KEY, help_text="Its own name, or its index")
    kwargs = models.JSONField(default=dict, help_text="The child's inputs")

    state = models.CharField(max_length=9, choices=StepState, default=StepState.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    retries_used = models.PositiveIntegerField(default=0, help_text="Of its step's `retries`")
    task_id = models.CharField(  # noqa: DJ001 - null until the first attempt; unique otherwise
        max_length=36, null=True, help_text="Celery's id of this attempt; it fences it"
    )
    message_id = models.CharField(  # noqa: DJ001 - null while no message carries it
        max_length=36, null=True, help_text="Celery's id of the message that carries its chunk"
    )
    received_by = models.UUIDField(
        null=True, help_text="The executor that has received the message of this QUEUED item"
    )
    claim = models.UUIDField(null=True, help_text="Of the process that claimed this attempt")
    checkpoint = models.JSONField(null=True, help_text="What the body has left to the next attempt")
    child_run_id = models.UUIDField(null=True, help_text="Its run, if its step runs a workflow")
    executor = models.ForeignKey(
        Executor, null=True, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    publish_count = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, help_text="When a tick must look at it next")
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    unmirrored_since = models.DateTimeField(
        null=True, help_text="The first report that no tick has added up yet"
    )
    finished_at = models.DateTimeField(null=True)
    traceback = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["index"]
        indexes = [
            models.Index(fields=["due_at"], name="item_due", condition=Q(due_at__isnull=False)),
            models.Index(
                fields=["unmirrored_since"],
                name="item_unmirrored",
                condition=Q(unmirrored_since__isnull=False),
            ),
            # Those that wait and are due at some time wait for the delay of a retry.
            models.Index(
                fields=["step", "index"],
                name="item_waiting",
                condition=Q(state="WAITING", due_at__isnull=True),
            ),
            # Few of all items are active: as many as there are places, by chunks.
            models.Index(
                fields=["step", "state", "executor"],
                name="item_active",
                condition=Q(state__in=["QUEUED", "RUNNING"]),
            ),
            models.Index(
                fields=["message_id"],
                name="item_of_message",
                condition=Q(state__in=["QUEUED", "RUNNING"]),
            ),
            models.Index(fields=["step", "index"], name="item_failed", condition=Q(state="ERROR")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["step", "index"], name="item_index_unique"),
            models.UniqueConstraint(fields=["task_id"], name="item_task_id_unique"),
            models.UniqueConstraint(
                fields=["child_run_id"],
                condition=Q(child_run_id__isnull=False),
                name="item_child_run_unique",
            ),
            models.CheckConstraint(
                name="item_state_known", condition=Q(state__in=[state.value for state in StepState])
            ),
            models.CheckConstraint(
                name="item_attempt_has_id",
                condition=~Q(state__in=["QUEUED", "RUNNING"]) | Q(task_id__isnull=False),
            ),
            models.CheckConstraint(
                name="item_completion_in_range",
                condition=Q(completion__gte=0) & Q(completion__lte=100),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The item in errors and log lines: `import_file[7]`, or with its own key."""
        return f"{self.step.name}[{self.key}]"

    @property
    def carrier_id(self) -> str:
        """The Celery id of the message in which the present attempt runs."""
        return str(self.message_id or self.task_id)

    @property
    def status(self) -> Status:
        match self.state:
            case StepState.OK:
                return Status.OK
            case StepState.ERROR | StepState.CANCELLED:
                return Status.ERROR
            case StepState.RUNNING:
                return Status.PROGRESS
        return Status.PENDING

    # What the engine reads of a step, and what an item has from its step.

    mirrored_at: datetime | None = None
    unneeded = False
    awaits = ""
    fed_by = ""

    @property
    def run(self) -> Run:
        return self.step.run

    @property
    def run_id(self) -> Any:
        return self.step.run_id

    @property
    def task(self) -> str:
        return self.step.task

    @property
    def nested(self) -> bool:
        return self.step.nested

    @property
    def queue(self) -> str:
        return self.step.queue

    @property
    def priority(self) -> int | None:
        return self.step.priority

    @property
    def limits(self) -> list[str] | None:
        return self.step.limits

    @property
    def is_in_line(self) -> bool:
        """As `Step.is_in_line`."""
        return is_in_line(self)

    @property
    def poll_interval(self) -> float:
        return self.step.poll_interval

    @property
    def queue_timeout(self) -> float | None:
        return self.step.queue_timeout

    @property
    def run_timeout(self) -> float | None:
        return self.step.run_timeout

    @property
    def stall_timeout(self) -> float | None:
        return self.step.stall_timeout

    @property
    def retries(self) -> int:
        return self.step.retries

    @property
    def retry_delay(self) -> float:
        return self.step.retry_delay

    @property
    def backoff(self) -> float:
        return self.step.backoff


class ItemCount(models.Model):
    """A part of the counts of one mapped step; the counts are the sums over its slots.

    Failures are counted in slot 0, so that whoever adds one knows how many there are.
    """

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="counts", db_index=False)
    slot = models.PositiveSmallIntegerField()
    opened = models.IntegerField(default=0, help_text="Those that no longer wait")
    ok = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    unmirrored_since = models.DateTimeField(
        null=True, help_text="The first change that no tick has added up yet"
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["step"],
                name="itemcount_unmirrored",
                condition=Q(unmirrored_since__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["step", "slot"], name="itemcount_slot_unique"),
        ]

    def __str__(self) -> str:
        return f"slot {self.slot}"
