"""The admin pages of runs, steps and executors: read-only; ended runs can be deleted."""

import json
from collections.abc import Iterable
from typing import Any, TypeAlias
from uuid import UUID

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from parent.admin.chosen_rows import ChosenRows
from parent.admin.read_only import ReadOnly
from parent.definition.parameters.secrets import (
    masked,
    secrets_inside,
    secrets_of,
    shown_beginning,
)
from parent.deletion.delete import delete_ended, delete_run
from parent.errors import UnknownSignal, UnknownWorkflow
from parent.models import Attempt, Event, Executor, ReceivedSignal, Run, Step
from parent.runs.signals.give import definition_of
from parent.runs.signals.payload import shown_values
from parent.store import leases
from parent.store.large_results import json_beginning
from parent.watch.queries import LARGE_RUN_FIELDS

__all__ = [
    "AttemptInline",
    "EventInline",
    "ExecutorAdmin",
    "RunAdmin",
    "SignalInline",
    "StepAdmin",
    "StepInline",
]

DELETE_BATCH = 500
LARGE = ("kwargs", "input_override", "checkpoint", "result", "traceback")

Rows: TypeAlias = "QuerySet[Any]"


class MetaColumns:
    """List columns for the uniform meta."""

    @admin.display
    def progress(self, row: Run | Step) -> SafeString:
        """The completion as a bar and a number."""
        percent = f"{row.completion:.1f}"
        return format_html('<progress value="{}" max="100"></progress> {} %', percent, percent)

    @admin.display
    def says(self, row: Run | Step) -> str:
        """The error, or else the message."""
        return row.error or row.message


class Beginnings:
    """Fields of any size, cut to what a page can show."""

    LENGTH = 10_000  # characters

    @admin.display(description="result")
    def beginning_of_result(self, row: Run | Step) -> str:
        return json_beginning(row, self.LENGTH, "result")

    @admin.display(description="params")
    def beginning_of_params(self, run: Run) -> str:
        return shown_beginning(run, self.LENGTH, "params", secrets_of(run))

    @admin.display(description="kwargs")
    def beginning_of_kwargs(self, step: Step) -> str:
        return shown_beginning(step, self.LENGTH, "kwargs", secrets_inside(step))

    @admin.display(description="inputs of a retry")
    def beginning_of_input_override(self, step: Step) -> str:
        return shown_beginning(step, self.LENGTH, "input_override", secrets_inside(step))

    @admin.display(description="checkpoint")
    def beginning_of_checkpoint(self, step: Step) -> str:
        return json_beginning(step, self.LENGTH, "checkpoint")


class StepInline(MetaColumns, ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """A run's steps on its page."""

    model = Step
    fields = ["name", "state", "progress", "says", "attempt", "started_at", "finished_at"]
    readonly_fields = ["progress", "says"]
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).defer(*LARGE)


class EventInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Who did what to a run, and when."""

    model = Event
    fields = ["at", "who", "what", "details"]
    readonly_fields = ["details"]

    @admin.display(description="detail")
    def details(self, event: Event) -> str:
        return masked(json.dumps(event.detail, ensure_ascii=False), secrets_of(event.run))


class SignalInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """What has come to a run from outside."""

    model = ReceivedSignal
    verbose_name = "signal"
    fields = ["at", "name", "who", "given"]
    readonly_fields = ["given"]

    def get_queryset(self, request: HttpRequest) -> Rows:
        # Those with a key are items, of which there may be thousands.
        return super().get_queryset(request).filter(key="")

    @admin.display(description="given")
    def given(self, came: ReceivedSignal) -> str:
        """The values, without secrets."""
        try:
            definition = definition_of(came.run, came.name)
        except (UnknownSignal, UnknownWorkflow):
            return "(this process does not know the signal, and so not what is secret in it)"
        return json.dumps(shown_values(definition, came.values), ensure_ascii=False)


class AttemptInline(ReadOnly, admin.StackedInline):  # type: ignore[type-arg]
    """A step's attempts before the present one."""

    model = Attempt
    fields = ["task_id", "worker", "queued_at", "started_at", "finished_at", "error", "traceback"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Those of the step itself: its items may have very many."""
        found: QuerySet[Attempt] = super().get_queryset(request)
        return found.filter(item=None)


@admin.register(Run)
class RunAdmin(ChosenRows, MetaColumns, Beginnings, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Runs, newest first. Ended runs can be deleted, with their steps, results and files."""

    list_display = ["id", "workflow", "state", "progress", "says", "owner", "created_at"]
    list_filter = ["state", "workflow", "created_at"]
    list_select_related = ["owner"]
    search_fields = [f"owner__{get_user_model().USERNAME_FIELD}"]
    search_help_text = "The id of a run or of a child, or an owner's name"
    ordering = ["-created_at", "-id"]
    sortable_by = ["created_at"]
    show_full_result_count = False
    inlines = [StepInline, SignalInline, EventInline]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("id", "workflow", "owner", "state", "progress", "says"),
                    *("beginning_of_result", "result_size"),
                ]
            },
        ),
        ("Given", {"fields": ["beginning_of_params", "files", "idempotency_key", "parent_run"]}),
        (
            "Times",
            {
                "fields": [
                    *("created_at", "started_at", "cancel_requested_at", "finished_at"),
                    *("deadline_at", "due_at"),
                ]
            },
        ),
    ]
    readonly_fields = ["id", "progress", "says", "beginning_of_result", "beginning_of_params"]

    def get_queryset(self, request: HttpRequest) -> Rows:
        # They may be large, and only the run's own page shows them.
        return super().get_queryset(request).defer("params", "files", "result")

    def get_search_results(
        self, request: HttpRequest, queryset: Rows, search_term: str
    ) -> tuple[Rows, bool]:
        try:
            task_id = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        of_child = Step.objects.filter(task_id=str(task_id)).values("run")
        return queryset.filter(Q(pk=task_id) | Q(pk__in=of_child)), False

    def has_delete_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_deleted_objects(
        self,
        objs: Any,
        request: HttpRequest,  # noqa: ARG002 - Django's signature
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What the confirmation page lists. Runs that are `protected` cannot be deleted."""
        runs: list[Run] = list(objs)
        counts = {
            str(Run._meta.verbose_name_plural): len(runs),
            str(Step._meta.verbose_name_plural): Step.objects.filter(run__in=runs).count(),
        }
        active = [f"{run}, which is {run.state}: wait for its end" for run in runs if not run.ended]
        inside = [
            f"{run}, which is a step of {run.parent_run_id}: delete that"
            for run in runs
            if run.is_child
        ]
        return [str(run) for run in runs], counts, set(), active + inside

    def delete_model(self, request: HttpRequest, obj: Run) -> None:  # noqa: ARG002
        delete_run(obj)

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[Run]) -> None:  # noqa: ARG002
        chosen = [run.pk for run in queryset]
        for start in range(0, len(chosen), DELETE_BATCH):
            batch = Run.objects.filter(pk__in=chosen[start : start + DELETE_BATCH])
            while delete_ended(batch, at_most=DELETE_BATCH):
                pass  # each call deletes as many as fit into one transaction


@admin.register(Step)
class StepAdmin(MetaColumns, Beginnings, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Steps of all runs, newest first."""

    list_display = ["name", "run", "state", "progress", "says", "attempt", "queue", "executor"]
    list_filter = ["state", "awaits", "task", "queued_at"]
    search_fields = ["=task_id", "name"]
    search_help_text = "The id of a child, or a step's name"
    ordering = ["-id"]
    sortable_by = ()
    show_full_result_count = False
    inlines = [AttemptInline]
    exclude = ["kwargs", "input_override", "checkpoint", "result", "child_run_id"]
    readonly_fields = [
        "child_run",
        *("beginning_of_kwargs", "beginning_of_input_override"),
        *("beginning_of_checkpoint", "beginning_of_result"),
    ]

    @admin.display
    def child_run(self, step: Step) -> str:
        """A link to the run that this step is, or to those of its items."""
        if step.nested and step.is_mapped:
            address = (
                f"{reverse('admin:parent_run_changelist')}?parent_run__id__exact={step.run_id}"
            )
            return format_html('<a href="{}">{}</a>', address, "one for each item")
        if step.child_run_id is None:
            return "-"
        address = reverse("admin:parent_run_change", args=[step.child_run_id])
        return format_html('<a href="{}">{}</a>', address, step.child_run_id)

    def get_queryset(self, request: HttpRequest) -> Rows:
        steps = super().get_queryset(request).defer(*LARGE)
        # On a step's page too: it would read the whole run to show its name.
        return steps.select_related("run", "executor").defer(*LARGE_RUN_FIELDS)


@admin.register(Executor)
class ExecutorAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Workers that are alive, and dead ones to which steps still refer."""

    list_display = ["__str__", "alive", "queues", "started_at", "heartbeat_at"]
    ordering = ["-heartbeat_at"]

    def get_queryset(self, request: HttpRequest) -> Rows:
        lease_holds = Q(heartbeat_at__gte=Now() - leases.lease())
        alive = ExpressionWrapper(lease_holds, output_field=BooleanField())
        rows: Rows = super().get_queryset(request).annotate(alive=alive)
        return rows

    @admin.display(boolean=True)
    def alive(self, executor: Any) -> bool:
        """Whether its lease has not lapsed."""
        return bool(executor.alive)
