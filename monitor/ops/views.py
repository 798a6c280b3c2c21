"""What those who run the service ask of it: figures, and whether it can work."""

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
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
from rest_framework.views import APIView

from monitor.api import openapi
from monitor.http.problems import PROBLEM_JSON, problem
from monitor.ops.metrics import WorkflowCollector
from monitor.tokens import TokenAuthentication
from parent.operations import health
from parent.store.outage import OUTAGE

__all__ = ["HealthView", "MetricsView", "ReadyView"]

LOOKS: Mapping[str, Callable[[], health.Wrong | None]] = {
    "database": health.database,
    "broker": health.broker,
    "workers": health.workers,
}


class Operator(AnonymousUser):
    """Whoever sends the `METRICS_TOKEN`: no user, but staff enough for what is asked here."""

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
        known = settings.METRICS_TOKEN.encode()
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
    """Staff, and whoever has the token."""

    message = "This is for staff, and for programs that send the METRICS_TOKEN."

    def has_permission(self, request: Request, _view: Any) -> bool:
        return bool(request.user and request.user.is_staff)


class WhateverIsAccepted(BaseContentNegotiation):
    """The view itself looks at what the client accepts: formats that DRF knows nothing of."""

    def select_parser(self, _request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, _request: Request, renderers: Any, _suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class HealthView(APIView):
    """Whether the process answers. Open to all."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @openapi.health
    def get(self, _request: Request) -> Response:
        return Response({"status": "ok"})


class MetricsView(APIView):
    """The figures, as Prometheus reads them."""

    schema = None  # no business of those who start runs
    authentication_classes = (OperatorToken, TokenAuthentication, SessionAuthentication)
    permission_classes = (IsStaff,)
    content_negotiation_class = WhateverIsAccepted

    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(WorkflowCollector())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(registry), content_type=content_type)


class Readiness:
    """What the looks last found. However many ask, it costs no more than one a second, and one
    request thread where what is looked at never answers."""

    LASTS = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, health.Wrong | None] = {}
        self._looked_at = float("-inf")
        self._looking = ("", 0.0)
        """At what, and since when."""

    def look(self) -> dict[str, health.Wrong | None]:
        """What is wrong with each part, or None."""
        if not self._lock.acquire(timeout=self.LASTS):
            return self._found | self._silent()
        try:
            if time.monotonic() >= self._looked_at + self.LASTS:
                self._found = {name: self._look_at(name) for name in LOOKS}
                self._looked_at = time.monotonic()
            return self._found
        finally:
            self._lock.release()

    def _look_at(self, name: str) -> health.Wrong | None:
        self._looking = (name, time.monotonic())
        return LOOKS[name]()

    def _silent(self) -> dict[str, health.Wrong]:
        name, since = self._looking
        waited = time.monotonic() - since
        what = f"nothing is heard of the {name} since {waited:.0f} s"
        return {name: health.Wrong(what, "Is its server up, and does it run?")}


readiness = Readiness()


class ReadyView(APIView):
    """Whether runs can go on: 200, or 503 and what is wrong, in words."""

    authentication_classes = (OperatorToken, StaffSession)
    permission_classes = (IsStaff,)

    @openapi.ready
    def get(self, request: Request) -> Response:
        found = readiness.look()
        checks = {name: str(wrong or "ok") for name, wrong in found.items()}
        if not any(found.values()):
            return Response({"status": "ready", "checks": checks})
        away = status.HTTP_503_SERVICE_UNAVAILABLE
        told = " ".join(str(wrong) for wrong in found.values() if wrong)
        document = problem(away, {"detail": told}, getattr(request, "request_id", None))
        return Response(document | {"checks": checks}, status=away, content_type=PROBLEM_JSON)
