"""The rows: what is not written here does not exist, whatever a message says."""

from typing import Any
from uuid import uuid4

from celery import states
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from children.meta import Meta as UniformMeta
from children.meta import Status

__all__ = [
    "Attempt",
    "Event",
    "Executor",
    "Run",
    "RunState",
    "Step",
    "StepState",
    "Tally",
    "WatchLease",
]


class MetaFields(models.Model):
    """The uniform meta as columns; its `status` follows from the row's state."""

    iteration = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    completion = models.FloatField(default=0.0, help_text="0 to 100")
    message = models.TextField(blank=True, default="")
    error = models.TextField(null=True)  # noqa: DJ001 - null is "no error" in the contract
    result = models.JSONField(null=True)

    class Meta:
        abstract = True

    @property
    def status(self) -> Status:
        """The uniform status."""
        raise NotImplementedError

    @property
    def meta(self) -> UniformMeta:
        """The uniform meta."""
        return UniformMeta(
            iteration=self.iteration,
            total=self.total,
            completion=self.completion,
            status=self.status,
            message=self.message,
            error=self.error,
            result=self.result,
        )

    def set_meta(self, meta: UniformMeta) -> None:
        """Take over `meta`, its status apart."""
        self.iteration = meta.iteration
        self.total = meta.total
        self.completion = meta.completion
        self.message = meta.message
        self.error = meta.error
        self.result = meta.result


class RunState(models.TextChoices):
    """A run's state is the Celery state of its parent task."""

    PENDING = states.PENDING
    STARTED = states.STARTED
    PROGRESS = "PROGRESS"
    SUCCESS = states.SUCCESS
    FAILURE = states.FAILURE
    REVOKED = states.REVOKED


class StepState(models.TextChoices):
    """Where a step is."""

    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    OK = "OK"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


def set_free(collector: Any, field: Any, runs: Any, using: str) -> None:
    """`on_delete` of a run's owner: it belongs to nobody then, and its key is not nobody's key."""
    collector.add_field_update(Run._meta.get_field("idempotency_key"), None, runs)  # first
    models.SET_NULL(collector, field, runs, using)


set_free.lazy_sub_objs = True  # type: ignore[attr-defined]  # as of SET_NULL: none is fetched


class Run(MetaFields):
    """One execution of a workflow; its id is the Celery id of the parent task."""

    ENDED = (RunState.SUCCESS, RunState.FAILURE, RunState.REVOKED)

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    workflow = models.CharField(max_length=100)
    params = models.JSONField(default=dict)
    files = models.JSONField(default=list, help_text="Storage names, deleted with the run")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=set_free, related_name="runs"
    )
    state = models.CharField(max_length=10, choices=RunState, default=RunState.PENDING)
    version = models.PositiveIntegerField(default=1, help_text="Grows with every change")
    publishes = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, help_text="When a tick must look at it next")
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(  # noqa: DJ001 - null: keys are unique where there are any
        max_length=255, null=True
    )
    fingerprint = models.CharField(max_length=64, blank=True, default="", help_text="Of the start")
    # With a default of the database's own: a worker of the last release writes runs as well.
    trace = models.CharField(
        max_length=55, blank=True, default="", db_default="", help_text="W3C traceparent"
    )
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    mirrored_at = models.DateTimeField(
        db_default=Now(), help_text="When it was last brought up to its steps"
    )
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="run_of_owner"),
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["due_at"], name="run_due", condition=Q(due_at__isnull=False)),
            models.Index(
                fields=["finished_at"], name="run_ended", condition=Q(finished_at__isnull=False)
            ),
            # Of all runs ever, few are alive, and these are counted for /metrics.
            models.Index(
                fields=["workflow"], name="run_alive", condition=Q(finished_at__isnull=True)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["owner", "idempotency_key"], name="run_started_once"),
            # To that one each run without an owner has one of its own.
            models.UniqueConstraint(
                fields=["idempotency_key"],
                condition=Q(owner__isnull=True),
                name="run_of_nobody_started_once",
            ),
            models.CheckConstraint(
                name="run_state_known", condition=Q(state__in=[state.value for state in RunState])
            ),
            models.CheckConstraint(
                name="run_completion_in_range",
                condition=Q(completion__gte=0) & Q(completion__lte=100),
            ),
            models.CheckConstraint(
                name="run_ended_has_time",
                condition=(
                    Q(state__in=["SUCCESS", "FAILURE", "REVOKED"], finished_at__isnull=False)
                    | Q(state__in=["PENDING", "STARTED", "PROGRESS"], finished_at__isnull=True)
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.pk}"

    @property
    def ended(self) -> bool:
        return self.state in self.ENDED

    @property
    def status(self) -> Status:
        match self.state:
            case RunState.SUCCESS:
                return Status.OK
            case RunState.FAILURE | RunState.REVOKED:
                return Status.ERROR
            case RunState.PENDING:
                return Status.PENDING
        return Status.PROGRESS


class Executor(models.Model):
    """One booted worker process. Its lease on what it runs lasts while its heart beats."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    pool = models.CharField(max_length=50, blank=True, default="")
    queues = models.JSONField(default=list, help_text="What it consumes")
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now(), db_index=True)
    clock_at = models.DateTimeField(null=True, help_text="The same moment by its own clock")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Step(MetaFields):
    """One child's place in a run, with its present attempt."""

    ACTIVE = (StepState.QUEUED, StepState.RUNNING)

    # Each change of state writes every index of the table: there are no more than are asked for.
    # That of the run's steps begins with the run; few ask for all steps of an executor.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    task = models.CharField(max_length=255, help_text="The Celery task's name")
    queue = models.CharField(max_length=255, blank=True, default="")
    priority = models.PositiveSmallIntegerField(null=True, help_text="0 goes first")
    after = models.JSONField(default=list, help_text="Names of the steps it waits for")
    weight = models.FloatField(default=1.0)
    queue_timeout = models.FloatField(null=True, help_text="Seconds")
    run_timeout = models.FloatField(null=True, help_text="Seconds")
    stall_timeout = models.FloatField(null=True, help_text="Seconds")
    poll_interval = models.FloatField(default=0.5, help_text="Seconds between reports")
    retries = models.PositiveIntegerField(default=0, help_text="Attempts after the first")
    retry_delay = models.FloatField(default=0.0, help_text="Seconds before the first of them")
    backoff = models.FloatField(default=2.0, help_text="By which the delay grows")

    state = models.CharField(max_length=9, choices=StepState, default=StepState.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    retried = models.PositiveIntegerField(default=0, help_text="Of the retries that it has")
    # Text, as in `TaskResult`, so that the two can be joined.
    task_id = models.CharField(  # noqa: DJ001 - null until the first attempt; unique otherwise
        max_length=36, null=True, help_text="Celery's id of this attempt; it fences it"
    )
    claim = models.UUIDField(null=True, help_text="Of the process that claimed this attempt")
    kwargs = models.JSONField(null=True, help_text="The child's inputs")
    given = models.JSONField(null=True, help_text="Inputs that a retry gave in their place")
    executor = models.ForeignKey(
        Executor, null=True, on_delete=models.PROTECT, related_name="steps", db_index=False
    )
    publishes = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, help_text="When a tick must look at it next")
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    traceback = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["index"]
        indexes = [
            models.Index(fields=["due_at"], name="step_due", condition=Q(due_at__isnull=False)),
            # Of all steps ever run, few are active, and these are what every tick asks for.
            models.Index(
                fields=["state", "executor"],
                name="step_active",
                condition=Q(state__in=["QUEUED", "RUNNING"]),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "index"], name="step_index_unique"),
            # Not `unique=True`, which is a second index, for LIKE, on PostgreSQL.
            models.UniqueConstraint(fields=["task_id"], name="step_task_id_unique"),
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
    def status(self) -> Status:
        match self.state:
            case StepState.OK:
                return Status.OK
            case StepState.ERROR | StepState.CANCELLED:
                return Status.ERROR
            case StepState.RUNNING:
                return Status.PROGRESS
        return Status.PENDING


class Attempt(models.Model):
    """An attempt that another one has followed; the present one is in the step."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="attempts")
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
            models.UniqueConstraint(fields=["step", "number"], name="attempt_number_unique"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.step}"


class Event(models.Model):
    """Something that a person, or the service, did to a run: who, when, what."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=150, blank=True, default="", help_text="A user's name")
    what = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.what


class WatchLease(models.Model):
    """The right to tick: one row, held by one executor at a time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.UUIDField(null=True)
    expires_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"held by {self.holder}"


class Tally(models.Model):
    """What the watch has counted since the first run: one row, for /metrics."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    figures = models.JSONField(default=dict, help_text="As `parent.meter` has them")
    counted_until = models.DateTimeField(
        null=True, help_text="Runs that ended before are in the figures"
    )

    def __str__(self) -> str:
        return f"counted until {self.counted_until}"
