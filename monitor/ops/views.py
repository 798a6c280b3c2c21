"""The views for operators: health, readiness, metrics."""

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from rest_framework import status
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from monitor.api.base import ApiView
from monitor.api.openapi import service_operations
from monitor.conf import metrics_token
from monitor.http.problems import PROBLEM_JSON, problem
from monitor.ops.metrics import WorkflowCollector
from monitor.tokens import TokenAuthentication
from parent.operations import health
from parent.store.outage import OUTAGE

__all__ = ["HealthView", "MetricsView", "ReadyView"]

CHECKS: Mapping[str, Callable[[], health.Problem | None]] = {
    "database": health.database,
    "broker": health.broker,
    "workers": health.workers,
}


class Operator(AnonymousUser):
    """The sender of the `METRICS_TOKEN`: not a user, but with staff's access to these views."""

    is_staff = True  # type: ignore[assignment]

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


class OperatorToken(BaseAuthentication):
    """`Authorization: Bearer <METRICS_TOKEN>`."""

    def authenticate(self, request: Request) -> tuple[Operator, None] | None:
        scheme, _, given = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        known = metrics_token().encode()
        if not known or not hmac.compare_digest(given.strip(), known):
            raise AuthenticationFailed("That is not the METRICS_TOKEN of this service.")
        return Operator(), None

    def authenticate_header(self, _request: Request) -> str:
        return "Bearer"


class StaffSession(SessionAuthentication):
    """A user in a browser; nobody while the database is away."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        try:
            return super().authenticate(request)
        except OUTAGE:
            return None


class IsStaff(BasePermission):
    """Staff, and senders of the token."""

    message = "This is for staff, and for programs that send the METRICS_TOKEN."

    def has_permission(self, request: Request, _view: Any) -> bool:
        return bool(getattr(request.user, "is_staff", False))


class WhateverIsAccepted(BaseContentNegotiation):
    """Leaves `Accept` to the view, because DRF does not know the formats of metrics."""

    def select_parser(self, _request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, _request: Request, renderers: Any, _suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class HealthView(ApiView):
    """Whether the process answers. It needs no login."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @service_operations.health
    def get(self, _request: Request) -> Response:
        return Response({"status": "ok"})


class MetricsView(ApiView):
    """The metrics, in the format of Prometheus."""

    schema = None  # not for API clients
    authentication_classes = (OperatorToken, TokenAuthentication, SessionAuthentication)
    permission_classes = (IsStaff,)
    content_negotiation_class = WhateverIsAccepted

    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(WorkflowCollector())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(registry), content_type=content_type)


class Readiness:
    """The last results of the health checks.

    However many requests ask, the checks run at most once a second, and a server that never
    answers blocks one request thread only.
    """

    LASTS = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, health.Problem | None] = {}
        self._checked_at = float("-inf")
        self._running = ("", 0.0)
        """The check that is running, and since when."""

    def check(self) -> dict[str, health.Problem | None]:
        """By check: what is wrong, or None."""
        if not self._lock.acquire(timeout=self.LASTS):
            return self._found | self._silent()
        try:
            if time.monotonic() >= self._checked_at + self.LASTS:
                self._found = {name: self._check(name) for name in CHECKS}
                self._checked_at = time.monotonic()
            return self._found
        finally:
            self._lock.release()

    def _check(self, name: str) -> health.Problem | None:
        self._running = (name, time.monotonic())
        return CHECKS[name]()

    def _silent(self) -> dict[str, health.Problem]:
        name, since = self._running
        waited = time.monotonic() - since
        what = f"the check of the {name} has waited for an answer for {waited:.0f} s"
        return {name: health.Problem(what, "Is its server up, and does it run?")}


readiness = Readiness()


class ReadyView(ApiView):
    """Whether runs can go on: 200, or 503 with the problems as text."""

    authentication_classes = (OperatorToken, StaffSession)
    permission_classes = (IsStaff,)

    @service_operations.ready
    def get(self, request: Request) -> Response:
        found = readiness.check()
        checks = {name: str(wrong or "ok") for name, wrong in found.items()}
        if not any(found.values()):
            return Response({"status": "ready", "checks": checks})
        away = status.HTTP_503_SERVICE_UNAVAILABLE
        problems = " ".join(str(wrong) for wrong in found.values() if wrong)
        document = problem(away, {"detail": problems}, getattr(request, "request_id", None))
        return Response(document | {"checks": checks}, status=away, content_type=PROBLEM_JSON)
