"""Runs and their history."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from celery import states
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from children.meta import Status
from parent.models.fields import MetaFields

__all__ = ["Event", "Run", "RunState", "set_free", "shortened"]


class RunState(models.TextChoices):
    """A run's state is the Celery state of its parent task."""

    PENDING = states.PENDING
    STARTED = states.STARTED
    PROGRESS = "PROGRESS"
    SUCCESS = states.SUCCESS
    FAILURE = states.FAILURE
    REVOKED = states.REVOKED


def set_free(collector: Any, field: Any, runs: Any, using: str) -> None:
    """`on_delete` of a run's owner: clear the owner, and the idempotency key with it.

    Two deleted owners may have used the same key, which must be unique among runs without an owner.
    """
    collector.add_field_update(
        Run._meta.get_field("idempotency_key"), None, runs
    )  # before the owner
    models.SET_NULL(collector, field, runs, using)


set_free.lazy_sub_objs = True  # type: ignore[attr-defined]  # as SET_NULL has it: no rows are fetched


class Run(MetaFields):
    """One execution of a workflow; its id is the Celery id of the parent task."""

    give: ClassVar[Callable[..., Any]]
    """Gives a run a signal: `parent.runs.signals.give.give`, which `parent.apps` installs. The
    models are below the engine."""

    ENDED = (RunState.SUCCESS, RunState.FAILURE, RunState.REVOKED)
    was_there = False
    """Whether a start returned this run instead of a new one."""
    RETRIED_FROM = (RunState.FAILURE, RunState.REVOKED)

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    workflow = models.CharField(max_length=100)
    params = models.JSONField(default=dict)
    files = models.JSONField(default=list, help_text="Storage names, deleted with the run")
    # No name at the user, which is the project's model and may have such a field.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=set_free, related_name="+"
    )
    # Deleting is `deletion.delete`, which deletes a run together with its child runs.
    parent_run = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="child_runs",
        db_index=False,
        help_text="The run in which it is a step",
    )
    depth = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many runs it is inside of"
    )
    state = models.CharField(max_length=10, choices=RunState, default=RunState.PENDING)
    version = models.PositiveIntegerField(default=1, help_text="Grows with every change")
    publish_count = models.PositiveIntegerField(default=0, db_column="publishes")
    due_at = models.DateTimeField(null=True, help_text="When a tick must look at it next")
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(  # noqa: DJ001 - null: keys are unique where there are any
        max_length=255, null=True
    )
    trace = models.CharField(
        max_length=55, blank=True, default="", db_default="", help_text="W3C traceparent"
    )
    fingerprint = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="Of the start"
    )
    place_key = models.CharField(  # noqa: DJ001 - null: its workflow has no limit
        max_length=200, null=True, help_text="Runs of the workflow with this key share a limit"
    )
    has_place = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether it may go on: it is one of those that the limit allows",
    )
    follow_up = models.TextField(  # noqa: DJ001 - null: most runs have none
        null=True, help_text="What Celery sends after its end, as JSON"
    )
    periodic_task = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="The entry of Celery's beat that started it",
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
            # The page of runs filters by workflow, and draws the trends of one.
            models.Index(fields=["workflow", "-created_at", "-id"], name="run_of_workflow"),
            # Few of all runs, and those that people look for. An "or": SQLite's planner understands
            # that, and no "in".
            models.Index(
                fields=["state", "-created_at", "-id"],
                name="run_unsuccessful",
                condition=Q(state="FAILURE") | Q(state="REVOKED"),
            ),
            models.Index(fields=["due_at"], name="run_due", condition=Q(due_at__isnull=False)),
            models.Index(
                fields=["finished_at"], name="run_ended", condition=Q(finished_at__isnull=False)
            ),
            models.Index(
                fields=["parent_run"], name="run_child", condition=Q(parent_run__isnull=False)
            ),
            # Few of all runs have not ended, and /metrics counts these.
            models.Index(
                fields=["workflow"], name="run_alive", condition=Q(finished_at__isnull=True)
            ),
            models.Index(
                fields=["workflow", "place_key", "has_place", "created_at", "id"],
                name="run_place",
                condition=Q(place_key__isnull=False, finished_at__isnull=True),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["owner", "idempotency_key"], name="run_started_once"),
            # For that constraint two runs without an owner are never equal: NULLs are distinct.
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
    def is_child(self) -> bool:
        """Whether it is a step of another run."""
        return self.parent_run_id is not None

    @property
    def ended(self) -> bool:
        return self.state in self.ENDED

    def signal(self, name: str, /, **values: Any) -> None:
        """Give this run a signal, or the decision of an approval.

        It counts whether or not a step waits for it already. The first one counts; the same values
        again change nothing. What waits for it goes on when the transaction commits.

        Args:
            values: what the signal's serializer takes; of an approval `decision`, which is
                "approve" or "reject", `comment`, and the fields of its form.

        Raises:
            InvalidParams: the values do not fit, by field. Nothing is stored.
            UnknownSignal: the workflow has no signal of this name.
            SignalGiven: it was given before, with other values.
            SignalClosed: the run or the step has ended, or the signal was closed.
        """
        type(self).give(self.pk, name, values)

    def signal_with(self, name: str, values: Mapping[str, Any], *, key: str | None = None) -> None:
        """Like `signal`, with the values in a mapping, so that they may have any name.

        Args:
            key: of a signal that feeds a `Map`: that of its item. The same again is the same item.
        """
        type(self).give(self.pk, name, values, key=key)

    @property
    def waits_for_turn(self) -> bool:
        """Whether none of its steps may open, because as many others go on as the limit allows."""
        return self.place_key is not None and not self.has_place and not self.ended

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


WHO_LENGTH = 150


def shortened(who: str) -> str:
    """A user's name as rows have it: where people log in by their address, it may be longer."""
    return who if len(who) <= WHO_LENGTH else f"{who[: WHO_LENGTH - 1]}…"


class Event(models.Model):
    """An entry in a run's history: what a user or the service did to it, and when."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=WHO_LENGTH, blank=True, default="", help_text="A user's name")
    what = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.what

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.who = shortened(self.who)
        super().save(*args, **kwargs)
