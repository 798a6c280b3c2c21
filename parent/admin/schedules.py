"""The admin pages of schedules."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from parent.admin.chosen_rows import ChosenRows
from parent.errors import ScheduleGone, UnknownWorkflow
from parent.models import Firing, Schedule
from parent.schedules import control
from parent.schedules.forms import NewScheduleForm, ScheduleForm
from parent.schedules.outlook import next_times
from parent.schedules.validation import FIELDS
from parent.store import clock

__all__ = ["FiringInline", "ScheduleAdmin"]

SHOWN_FIRINGS = 20


class FiringInline(admin.TabularInline):  # type: ignore[type-arg]
    """What became of the latest times."""

    model = Firing
    fields = ["nominal_at", "until", "count", "state", "detail", "of_run", "who"]
    readonly_fields = ["nominal_at", "until", "count", "state", "detail", "of_run", "who"]
    extra = 0

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request)
        match = request.resolver_match
        schedule = str(match.kwargs.get("object_id", "")) if match else ""
        if not schedule.isdecimal():
            return rows.none()
        latest = Firing.objects.filter(schedule=int(schedule)).order_by("-nominal_at")
        return rows.filter(pk__in=list(latest.values_list("pk", flat=True)[:SHOWN_FIRINGS]))

    @admin.display(description="run")
    def of_run(self, firing: Firing) -> str:
        if firing.run_id is None:
            return "-"
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:parent_run_change", args=[firing.run_id]),
            firing.run_id,
        )

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


@admin.register(Schedule)
class ScheduleAdmin(ChosenRows):
    """Schedules: edit, pause, run now, and reset to what the code says."""

    list_display = ["__str__", "says_when", "overlap", "next_at", "paused_at", "edited", "problem"]
    list_filter = ["workflow"]
    search_fields = ["workflow", "name"]
    sortable_by = ["next_at"]
    show_full_result_count = False
    inlines = [FiringInline]
    actions = ["pause", "resume", "run_now", "reset"]
    readonly_fields = [
        *("next_times", "declared_as", "edited", "edited_by", "paused_at", "paused_by"),
        *("removed_at", "problem"),
    ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = NewScheduleForm if obj is None else ScheduleForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        return ["workflow", "name", *FIELDS] if obj is None else [*FIELDS, *self.readonly_fields]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:  # noqa: ARG002
        return [] if obj is None else self.inlines

    @admin.display(description="next times")
    def next_times(self, row: Schedule) -> str:
        times = next_times(row, clock.now())
        return ", ".join(f"{time:%Y-%m-%d %H:%M:%S} UTC" for time in times) or "none"

    @admin.display(description="in the code")
    def declared_as(self, row: Schedule) -> str:
        if row.declared is None:
            return "not there: it was made by hand"
        # The params may have secrets, which the form hides.
        rest = {name: value for name, value in row.declared.items() if name != "params"}
        return json.dumps(rest, ensure_ascii=False)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only what no code has: the others would come back."""
        made = obj is None or obj.declared is None or obj.removed_at is not None
        return made and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        found = super().get_actions(request)
        found.pop("delete_selected", None)  # it would ask for no row's own permission
        return found

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        rows = list(objs)
        # With their firings, which cannot be deleted by themselves.
        _, counts, _, protected = super().get_deleted_objects(rows, request)
        return [str(row) for row in rows], counts, set(), protected

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        who = request.user.get_username()
        if change:
            control.edit(obj.pk, form.values, who=who)
            return
        # The form has checked the name, which is unique.
        made = control.make(obj.workflow, obj.name, form.values, who=who)
        obj.pk = made.pk

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, rows: "QuerySet[Schedule]") -> None:
        self._each(request, rows, control.pause, "paused")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, rows: "QuerySet[Schedule]") -> None:
        self._each(request, rows, control.resume, "resumed")

    @admin.action(description="Run now", permissions=["change"])
    def run_now(self, request: HttpRequest, rows: "QuerySet[Schedule]") -> None:
        self._each(request, rows, control.run_now, "")

    @admin.action(description="Reset to the code", permissions=["change"])
    def reset(self, request: HttpRequest, rows: "QuerySet[Schedule]") -> None:
        self._each(request, rows, control.reset, "reset")

    def _each(
        self,
        request: HttpRequest,
        rows: "QuerySet[Schedule]",
        act: Callable[..., Schedule | Firing],
        done: str,
    ) -> None:
        who = request.user.get_username()
        for row in rows:
            say = partial(messages.add_message, request)
            try:
                found = act(row.pk, who=who)
            except (ScheduleGone, UnknownWorkflow) as refused:
                say(messages.WARNING, str(refused))
                continue
            if isinstance(found, Firing):
                level = messages.SUCCESS if found.run_id else messages.WARNING
                say(level, f"{row}: {found.run_id or found.detail}")
            else:
                say(messages.SUCCESS, f"{row}: {done}.")
