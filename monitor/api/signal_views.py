"""Signals and approvals over HTTP."""

from typing import Any
from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from monitor.api.base import ApiView
from monitor.api.body_params import values_by
from monitor.api.openapi import task_operations
from monitor.api.request_options import idempotency_key
from monitor.apply_policy import find_to_signal
from parent.definition.workflow import registry
from parent.models import ReceivedSignal
from parent.runs.signals.give import close, definition_of, give
from parent.runs.signals.payload import serializer_of

__all__ = ["SignalCloseView", "SignalView"]


class SignalView(ApiView):
    """POST gives a run a signal, or the decision of an approval."""

    @task_operations.give_signal
    def post(self, request: Request, task_id: UUID, name: str) -> Response:
        run = find_to_signal(request.user, task_id, name)
        values = values_by(serializer_of(definition_of(run, name)), request.data)
        # The first one of any other signal counts, whatever its key.
        is_item = registry.get(run.workflow).fed_step(name) is not None
        key = idempotency_key(request) if is_item else None
        came = give(run, name, values, who=request.user.get_username(), key=key)
        return Response(received(came))


class SignalCloseView(ApiView):
    """POST closes a signal that has not come, or that feeds a `Map`."""

    @task_operations.close_signal
    def post(self, request: Request, task_id: UUID, name: str) -> Response:
        run = find_to_signal(request.user, task_id, name)
        close(run.pk, name, who=request.user.get_username())
        return Response(status=status.HTTP_204_NO_CONTENT)


def received(came: ReceivedSignal) -> dict[str, Any]:
    """What has come, as the API shows it: the same for the same again. Times are datetimes."""
    return {
        "run_id": str(came.run_id),
        "name": came.name,
        "key": came.key,
        "values": came.values,
        "who": came.who,
        "at": came.at,
    }
