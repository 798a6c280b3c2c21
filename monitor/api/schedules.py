"""The HTTP API of schedules: list them, pause, resume, reset and run one."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from monitor.api.base import ApiView
from monitor.api.openapi import schedule_operations
from monitor.api.request_options import PAGE_SIZE
from monitor.apply_policy import (
    CHANGE,
    SEE,
    find_schedule,
    may_change_schedules,
    may_see_schedules,
    visible_schedules,
)
from monitor.http.throttles import StartThrottle
from parent.definition.parameters.secrets import shown_params
from parent.models import Firing, Schedule
from parent.schedules import control
from parent.schedules.outlook import Outlook, outlooks
from parent.store import clock

__all__ = [
    "ScheduleListView",
    "SchedulePauseView",
    "ScheduleResetView",
    "ScheduleResumeView",
    "ScheduleRunView",
    "ScheduleView",
]

PLAIN = (
    *("id", "workflow", "name", "cron", "every", "timezone", "overlap", "catch_up", "window"),
    *("jitter", "edited", "edited_by", "paused_at", "paused_by", "removed_at"),
)


class ByAge(CursorPagination):
    """Pages that stay correct while schedules are added."""

    page_size = PAGE_SIZE
    ordering = ("id",)

    def decode_cursor(self, request: Request) -> Any:
        """The cursor of the request, if any.

        Raises:
            ValidationError: it is not one of ours.
        """
        try:
            cursor: Any = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                int(cursor.position)
        except (NotFound, ValueError):
            message = "Take it from `next` or `previous` of another page."
            raise serializers.ValidationError({"cursor": [message]}) from None
        return cursor


class MaySee(BasePermission):
    """For those who may see schedules; for others the operations are not in the document."""

    message = SEE

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002 - DRF's
        return may_see_schedules(request.user)


class MayChange(BasePermission):
    """The same for those who may change schedules."""

    message = CHANGE

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002 - DRF's
        return may_change_schedules(request.user)


class ScheduleListView(ApiView):
    """The schedules that the caller may see."""

    permission_classes = (IsAuthenticated, MaySee)

    @schedule_operations.list_schedules
    def get(self, request: Request) -> Response:
        pages = ByAge()
        rows = pages.paginate_queryset(visible_schedules(request.user), request, view=self) or []
        return Response(
            {
                "next": pages.get_next_link(),
                "previous": pages.get_previous_link(),
                "results": [_entry(seen) for seen in outlooks(rows, clock.now())],
            }
        )


class ScheduleView(ApiView):
    """One schedule."""

    permission_classes = (IsAuthenticated, MaySee)

    @schedule_operations.read_schedule
    def get(self, request: Request, pk: int) -> Response:
        return _answer(find_schedule(request.user, pk))


class _ChangeView(ApiView):
    """A change of one schedule."""

    permission_classes = (IsAuthenticated, MayChange)
    change: Callable[..., Schedule]

    def _change(self, request: Request, pk: int) -> Response:
        row = find_schedule(request.user, pk, to_change=True)
        return _answer(type(self).change(row.pk, who=request.user.get_username()))


class SchedulePauseView(_ChangeView):
    """POST pauses a schedule."""

    change = staticmethod(control.pause)

    @schedule_operations.pause_schedule
    def post(self, request: Request, pk: int) -> Response:
        return self._change(request, pk)


class ScheduleResumeView(_ChangeView):
    """POST resumes a schedule."""

    change = staticmethod(control.resume)

    @schedule_operations.resume_schedule
    def post(self, request: Request, pk: int) -> Response:
        return self._change(request, pk)


class ScheduleResetView(_ChangeView):
    """POST drops what staff edited."""

    change = staticmethod(control.reset)

    @schedule_operations.reset_schedule
    def post(self, request: Request, pk: int) -> Response:
        return self._change(request, pk)


class ScheduleRunView(ApiView):
    """POST starts a run by hand."""

    permission_classes = (IsAuthenticated, MayChange)
    throttle_classes = (StartThrottle,)

    @schedule_operations.run_schedule
    def post(self, request: Request, pk: int) -> Response:
        row = find_schedule(request.user, pk, to_change=True)
        return Response(_firing(control.run_now(row.pk, who=request.user.get_username())))


def _answer(row: Schedule) -> Response:
    return Response(_entry(outlooks([row], clock.now())[0]))


def _entry(seen: Outlook) -> dict[str, Any]:
    row = seen.schedule
    return {
        **{name: getattr(row, name) for name in PLAIN},
        "params": shown_params(row),
        "in_code": row.declared is not None,
        "problem": row.problem,
        "next_times": list(seen.next_times),
        "last": _firing(seen.last) if seen.last else None,
        "left_out": _firing(seen.left_out) if seen.left_out else None,
    }


def _firing(firing: Firing) -> dict[str, Any]:
    return {
        "nominal_at": firing.nominal_at,
        "state": firing.state,
        "reason": firing.reason,
        "detail": firing.detail,
        "run_id": firing.run_id,
        "who": firing.who,
    }
