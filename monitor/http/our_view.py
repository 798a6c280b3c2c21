"""What our views do in any project, with our middleware or without it."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

from monitor.http.error_pages import of_exception
from parent.messages.publish import publish_timeout

__all__ = ["NOT_STORED", "PATIENCE", "OpenPage", "OurPage", "OurView"]

PATIENCE = 0.4  # seconds for a message to the broker, while a client waits for its answer
NOT_STORED = "private, no-store"


class OurView:
    """Waits for the broker only briefly, and forbids caches to store the answer.

    It is in no transaction, also where `ATOMIC_REQUESTS` is on: a probe could not answer while a
    database is away, and a poll would cost two statements more.
    """

    @classmethod
    def as_view(cls: Any, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)  # type: ignore[misc]
        for alias in connections:
            transaction.non_atomic_requests(alias)(view)
        return view

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with publish_timeout(PATIENCE):
            response = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        response.setdefault("Cache-Control", NOT_STORED)
        return response


class OpenPage(OurView):
    """A page. What DRF or the engine raises in it is an error page, not a server error."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().dispatch(request, *args, **kwargs)
        except Exception as exc:
            answer = of_exception(request, exc)
            if answer is None:
                raise
            return answer
        return response


class OurPage(OpenPage, LoginRequiredMixin):
    """A page for those who are logged in."""
