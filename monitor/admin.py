"""The admin's page of API tokens, and links from the engine's admin pages to ours."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch

from monitor.http.namespace import our_url
from monitor.models import ApiToken
from parent.admin.chosen_rows import ChosenRows
from parent.admin.notifications import DeliveryAdmin
from parent.admin.runs import ExecutorAdmin, RunAdmin, StepAdmin
from parent.admin.schedules import ScheduleAdmin

__all__ = ["ApiTokenAdmin", "page_of"]


def page_of(row: Model) -> str | None:
    """Our page of what this row is or belongs to; None where a project has not included it.

    Django shows it as "View on site".
    """
    name, args = PAGES[row._meta.model_name or ""](row)
    try:
        return our_url(None, name, *args)
    except NoReverseMatch:
        return None


PAGES: dict[str, Callable[[Any], tuple[str, list[object]]]] = {
    "run": lambda run: ("run", [run.pk]),
    "step": lambda step: ("run", [step.run_id]),
    "delivery": lambda delivery: ("run", [delivery.run_id]),
    "schedule": lambda schedule: ("timetable-entry", [schedule.pk]),
    "executor": lambda _: ("workers", []),
}
# The engine, to which these admin pages belong, does not know that there are pages.
for each in (RunAdmin, StepAdmin, DeliveryAdmin, ScheduleAdmin, ExecutorAdmin):
    setattr(each, "view_on_site", staticmethod(page_of))  # noqa: B010 - mypy takes it for a variable of instances


@admin.register(ApiToken)
class ApiTokenAdmin(ChosenRows):
    """Lists the tokens by user. A new token is shown once; deleting one revokes it."""

    list_display = ["__str__", "user", "created_at"]
    list_select_related = ["user"]
    fields = ["user"]
    raw_id_fields = ["user"]  # a list of all would be long, and not each project can search it
    search_fields = [f"user__{get_user_model().USERNAME_FIELD}"]
    ordering = ["-created_at"]

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, *_: Any) -> None:
        token = ApiToken.objects.issue(obj.user)
        obj.digest = ApiToken.digest_of(token)
        message = f"The token of {obj.user} is {token} - copy it now, it is not shown again."
        messages.success(request, message)
