"""Steps with their present attempts, and the records of earlier attempts."""

from typing import Any

from django.db import models
from django.db.models import BooleanField, Func, Q

from children.meta import Status
from parent.models.executor import Executor
from parent.models.fields import MetaFields
from parent.models.run import Run

__all__ = ["IS_ACTIVE", "Attempt", "Awaits", "Step", "StepState", "When", "is_in_line"]

IS_ACTIVE = Func(
    "state", template="%(expressions)s IN ('QUEUED', 'RUNNING')", output_field=BooleanField()
)
"""As `state__in=Step.ACTIVE`, with the states in the text of the statement.

SQLite uses the indexes of active steps and items only where the text has their condition, and else
reads all rows that there ever were (https://sqlite.org/partialindex.html).
"""


class StepState(models.TextChoices):
    """Where a step is."""

    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    OK = "OK"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


class When(models.TextChoices):
    """After which ends of the steps before it a step opens."""

    OK = "ok", "all of them are OK"
    FAILED = "failed", "one of them has failed"
    ALWAYS = "always", "all of them have ended"


class Awaits(models.TextChoices):
    """What comes from outside, for which a step waits instead of running a child."""

    SIGNAL = "signal", "a signal"
    APPROVAL = "approval", "an approval"


class Step(MetaFields):
    """One child's place in a run, with its present attempt."""

    ACTIVE = (StepState.QUEUED, StepState.RUNNING)

    frozen_items: Any = None
    """The items of a mapped step that opens, until they are written."""
    child_params: Any = None
    """The parameters of the run of a nested step that opens, until that run is written."""
    child_place_key: str | None = None
    """The key of that run, if its workflow has a limit."""

    # Each change of state writes to every index of the table, so there are only those that queries
    # need. The unique constraint on run and index serves for the steps of a run; few queries ask
    # for all steps of an executor.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    task = models.CharField(max_length=255, help_text="The Celery task's name")
    priority = models.PositiveSmallIntegerField(null=True, help_text="0 goes first")
    queue = models.CharField(max_length=255, blank=True, default="")
    after = models.JSONField(default=list, help_text="Names of the steps it waits for")
    when = models.CharField(max_length=6, choices=When, default=When.OK, db_default=When.OK)
    optional = models.BooleanField(
        default=False, db_default=False, help_text="Its failure does not fail the run"
    )
    unneeded = models.BooleanField(
        default=False, db_default=False, help_text="SKIPPED, and not because a step failed"
    )
    weight = models.FloatField(default=1.0)
    queue_timeout = models.FloatField(null=True, help_text="Seconds")
    run_timeout = models.FloatField(null=True, help_text="Seconds")
    stall_timeout = models.FloatField(null=True, help_text="Seconds")
    poll_interval = models.FloatField(default=0.5, help_text="Seconds between reports")
    retries = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Attempts after the first"
    )
    retry_delay = models.FloatField(
        default=0.0, db_default=0.0, help_text="Seconds before the first of them"
    )
    backoff = models.FloatField(default=2.0, db_default=2.0, help_text="By which the delay grows")

    chunk = models.PositiveIntegerField(
        null=True, help_text="Items in one message; null for a step that is not mapped"
    )
    max_active = models.PositiveIntegerField(null=True, help_text="Messages of items at a time")
    tolerate = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="How many items may fail"
    )
    fed_by = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="The signal whose arrivals are its items, until that is closed",
    )
    items = models.JSONField(null=True, help_text="How many items are in which state")

    limits = models.JSONField(null=True, help_text="Names of limits that it shares with others")

    nested = models.BooleanField(
        default=False, db_default=False, help_text="Its task is a workflow, which it runs"
    )
    child_run_id = models.UUIDField(null=True, help_text="The run of that workflow")
    awaits = models.CharField(
        max_length=8,
        choices=Awaits,
        blank=True,
        default="",
        db_default="",
        help_text="What it waits for in place of a child; `run_timeout` is for how long",
    )
    on_timeout = models.CharField(
        max_length=4, blank=True, default="", db_default="", help_text="fail or skip"
    )
    unless = models.JSONField(
        null=True, help_text="Names of steps and signals: it is skipped if one of them was first"
    )

    state = models.CharField(max_length=9, choices=StepState, default=StepState.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    retries_used = models.PositiveIntegerField(
        default=0, db_default=0, db_column="retried", help_text="Of `retries`"
    )
    # Text, as in `TaskResult`, so that the two can be joined.
    task_id = models.CharField(  # noqa: DJ001 - null until the first attempt; unique otherwise
        max_length=36, null=True, help_text="Celery's id of this attempt; it fences it"
    )
    message_id = models.CharField(  # noqa: DJ001 - most steps have their own message
        max_length=36, null=True, help_text="Celery's id of the message it runs in, if not its own"
    )
    received_by = models.UUIDField(
        null=True, help_text="The executor that has received the message of this QUEUED step"
    )
    claim = models.UUIDField(null=True, help_text="Of the process that claimed this attempt")
    kwargs = models.JSONField(null=True, help_text="The child's inputs")
    input_override = models.JSONField(
        null=True, db_column="given", help_text="Inputs that a retry gave in place of the author's"
    )
    checkpoint = models.JSONField(null=True, help_text="What the body has left to the next attempt")
    executor = models.ForeignKey(
        Executor, null=True, on_delete=models.PROTECT, related_name="steps", db_index=False
    )
    publish_count = models.PositiveIntegerField(default=0, db_column="publishes")
    due_at = models.DateTimeField(null=True, help_text="When a tick must look at it next")
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    mirrored_at = models.DateTimeField(
        null=True, help_text="The `reported_at` that a tick last copied to the run"
    )
    unmirrored_since = models.DateTimeField(
        null=True, help_text="The first report that no tick has copied yet"
    )
    pace = models.FloatField(null=True, help_text="Percent of it per second, of late")
    paced_since = models.DateTimeField(null=True, help_text="Since when the pace is measured")
    finished_at = models.DateTimeField(null=True)
    traceback = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["index"]
        indexes = [
            models.Index(fields=["due_at"], name="step_due", condition=Q(due_at__isnull=False)),
            # What has been reported since a tick's last look, and nothing else.
            models.Index(
                fields=["unmirrored_since"],
                name="step_unmirrored",
                condition=Q(unmirrored_since__isnull=False),
            ),
            # Few of all steps are active, and every tick reads these.
            models.Index(
                fields=["state", "executor"],
                name="step_active",
                condition=Q(state__in=["QUEUED", "RUNNING"]),
            ),
            models.Index(
                fields=["awaits", "queued_at"],
                name="step_awaiting",
                condition=Q(state="RUNNING") & ~Q(awaits=""),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "index"], name="step_index_unique"),
            # `unique=True` would add a second index on PostgreSQL, for LIKE.
            models.UniqueConstraint(fields=["task_id"], name="step_task_id_unique"),
            # NULLs are distinct, but an index of them would be as large as the table.
            models.UniqueConstraint(
                fields=["child_run_id"],
                condition=Q(child_run_id__isnull=False),
                name="step_child_run_unique",
            ),
            models.CheckConstraint(
                name="step_state_known", condition=Q(state__in=[state.value for state in StepState])
            ),
            models.CheckConstraint(
                name="step_attempt_has_id",
                condition=~Q(state__in=["QUEUED", "RUNNING"]) | Q(task_id__isnull=False),
            ),
            models.CheckConstraint(
                name="step_completion_in_range",
                condition=Q(completion__gte=0) & Q(completion__lte=100),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_mapped(self) -> bool:
        """Whether it runs its child over many items, which have rows of their own."""
        return self.chunk is not None

    @property
    def is_in_line(self) -> bool:
        """Whether it waits for a place of its limits, or for the delay before that."""
        return is_in_line(self)

    @property
    def item_total(self) -> int:
        """How many items an opened mapped step has."""
        return int((self.items or {}).get("total", 0))

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


def is_in_line(row: Any) -> bool:
    """Whether the attempt waits for a place of its limits, or for the delay before that."""
    return bool(row.limits) and row.state == StepState.QUEUED and not row.publish_count


class Attempt(models.Model):
    """The record of an earlier attempt; the present attempt is in the step's own row."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="attempts")
    item = models.ForeignKey(
        "parent.Item", null=True, on_delete=models.CASCADE, related_name="attempts", db_index=False
    )
    number = models.PositiveIntegerField()
    task_id = models.CharField(max_length=36)
    worker = models.CharField(max_length=300, blank=True, default="")
    error = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["number"]
        indexes = [models.Index(fields=["task_id"], name="attempt_task_id")]
        constraints = [
            models.UniqueConstraint(
                fields=["step", "number"],
                condition=Q(item__isnull=True),
                name="attempt_number_unique",
            ),
            models.UniqueConstraint(
                fields=["item", "number"],
                condition=Q(item__isnull=False),
                name="attempt_of_item_number_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.step}"
