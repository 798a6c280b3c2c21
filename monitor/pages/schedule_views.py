"""The pages of schedules: all of them, and one with its form and its buttons."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.generic import View

from monitor.apply_policy import (
    find_schedule,
    may_change_schedules,
    visible_schedules,
)
from monitor.http.namespace import our_url
from monitor.http.our_view import OurPage
from monitor.http.throttles import count_start
from monitor.texts.sentences import in_readers_language
from parent.errors import ScheduleGone, UnknownSchedule
from parent.models import Firing, Schedule
from parent.schedules import control
from parent.schedules.forms import ScheduleForm
from parent.schedules.outlook import outlooks
from parent.store import clock

__all__ = ["ScheduleAction", "SchedulePage", "SchedulesPage"]

PAGE_SIZE = 50
SHOWN_FIRINGS = 30
ACTIONS: dict[str, Callable[..., Schedule | Firing]] = {
    "pause": control.pause,
    "resume": control.resume,
    "reset": control.reset,
    "run": control.run_now,
}


class SchedulesPage(OurPage, View):
    """All schedules that the caller may see, by name."""

    def get(self, request: HttpRequest) -> HttpResponse:
        pages = Paginator(visible_schedules(request.user).order_by("workflow", "name"), PAGE_SIZE)
        page = pages.get_page(request.GET.get("page"))
        context = {
            "page": page,
            "schedules": outlooks(list(page.object_list), clock.now()),
            "may_change": may_change_schedules(request.user),
        }
        return render(request, "monitor/schedules.html", context)


class SchedulePage(OurPage, View):
    """One schedule: what comes, what was, and the form to edit it."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = find_schedule(request.user, pk)
        return _page(request, row, ScheduleForm(instance=row))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = find_schedule(request.user, pk, to_change=True)
        form = ScheduleForm(request.POST, instance=row)
        if not form.is_valid():
            # Validating the form has set the fields of its own copy of the row.
            row = find_schedule(request.user, pk)
            return _page(request, row, form, HTTPStatus.BAD_REQUEST)
        control.edit(pk, form.values, who=request.user.get_username())
        messages.success(request, gettext("The schedule is changed."))
        return redirect(our_url(request, "timetable-entry", pk))


class ScheduleAction(OurPage, View):
    """A button on the page of a schedule."""

    def post(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        if action not in ACTIONS:
            raise Http404("There is no such action.")
        row = find_schedule(request.user, pk, to_change=True)
        if action == "run":
            count_start(request)
        try:
            found = ACTIONS[action](row.pk, who=request.user.get_username())
        except (ScheduleGone, UnknownSchedule) as refused:
            messages.warning(request, in_readers_language(str(refused)))
        else:
            if isinstance(found, Firing):
                if found.run_id is not None:
                    return redirect(our_url(request, "run", found.run_id))
                messages.warning(
                    request, gettext("Nothing was started: {why}").format(why=found.detail)
                )
        return redirect(our_url(request, "timetable-entry", pk))


def _page(
    request: HttpRequest, row: Schedule, form: ScheduleForm, status: int = HTTPStatus.OK
) -> HttpResponse:
    may_change = may_change_schedules(request.user)
    if not may_change:
        for field in form.fields.values():
            field.disabled = True
    context: dict[str, Any] = {
        "seen": outlooks([row], clock.now())[0],
        "row": row,
        "form": form,
        "may_change": may_change,
        "firings": Firing.objects.filter(schedule=row)[:SHOWN_FIRINGS],
    }
    return render(request, "monitor/schedule.html", context, status=status)
