"""What our views do in any project, with our middleware or without it."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from rest_framework.views import set_rollback

from monitor.http.error_pages import of_exception
from parent.messages.publish import publish_timeout

__all__ = ["NOT_STORED", "PATIENCE", "OurPage", "OurView"]

PATIENCE = 0.4  # seconds for a message to the broker, while a client waits for its answer
NOT_STORED = "private, no-store"


class OurView:
    """Waits for the broker only briefly, and forbids caches to store the answer."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with publish_timeout(PATIENCE):
            response = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        response.setdefault("Cache-Control", NOT_STORED)
        return response


class OurPage(OurView, LoginRequiredMixin):
    """A page. What DRF or the engine raises in it is an error page, not a server error."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().dispatch(request, *args, **kwargs)
        except Exception as exc:
            answer = of_exception(request, exc)
            if answer is None:
                raise
            set_rollback()
            return answer
        return response
