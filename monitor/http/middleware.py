"""What goes around every request: its id, its line in the log, the size of its body."""

import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.functional import LazyObject, empty
from structlog.contextvars import bound_contextvars

from monitor.http.body_size import largest
from monitor.http.error_pages import error_response, of_exception
from parent.messages.publish import answering

__all__ = ["ClosedByDefault", "ErrorResponses", "NotStored", "RequestLog"]

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]

REQUEST_ID = "X-Request-ID"
PATIENCE = 0.4  # seconds for a message to the broker, while a client waits for its answer
DIGITS = re.compile(r"[0-9]{1,18}")
SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Names each request, in its answer and in every line logged while it is served.

    A proxy may have named it already, in the same header.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(REQUEST_ID, "")
        request_id = given if SANE.fullmatch(given) else uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        begun = time.perf_counter()
        with (
            bound_contextvars(request_id=request_id, user=UserId(request)),
            answering(PATIENCE),
        ):
            response = self._get_response(request)
            response[REQUEST_ID] = request_id
            if settings.ACCESS_LOG:
                # Without the query: a login link carries its secret there.
                told = (request.method, request.path, response.status_code)
                figures = {
                    "status": response.status_code,
                    "milliseconds": round(1000 * (time.perf_counter() - begun), 1),
                }
                logger.info("%s %s %s", *told, extra=figures)
        return response


class NotStored:
    """No cache keeps an answer, of the browser or on the way: it is one person's, and may be old.

    But static files, which say so themselves.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if "Cache-Control" not in response:
            response["Cache-Control"] = "private, no-store"
        return response


class UserId:
    """The id of a request's user, for the log: none until somebody asked who it is.

    Asking from here would cost a query, and may fail for the reason that is to be logged.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __structlog__(self) -> int | None:
        user = self._request.__dict__.get("user")
        # Private. A lazy object has no public way to say whether it was evaluated.
        if user is None or (isinstance(user, LazyObject) and user.__dict__["_wrapped"] is empty):
            return None
        return user.pk if user.is_authenticated else None

    def __repr__(self) -> str:
        return repr(self.__structlog__())


class ClosedByDefault(LoginRequiredMiddleware):
    """Sends strangers to the login from whatever a view does not open.

    Django's own asks who the user is even where the view sees to that itself: the health of the
    process must not hang on the database.
    """

    def process_view(self, request: HttpRequest, view_func: Any, *given: Any) -> Any:
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, *given)


class ErrorResponses:
    """Refuses a body that is too large before it is read, and gives every error its words."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = body_error(request) or self._get_response(request)
        if response.status_code >= HTTPStatus.BAD_REQUEST and not (
            response.streaming or response.content
        ):
            # Such as Django's 405. Its headers stay.
            told = error_response(request, response.status_code)
            response.content = told.content
            response["Content-Type"] = told["Content-Type"]
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return of_exception(request, exception)


def body_error(request: HttpRequest) -> HttpResponse | None:
    """The error response to a body that is larger than the settings allow; None for any other.

    It goes by what the request says: no server hands on more than that. A body of unknown length
    Django would take for an empty one.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not DIGITS.fullmatch(length):
        return error_response(request, HTTPStatus.BAD_REQUEST, "Content-Length is no number.")
    if "Transfer-Encoding" in request.headers:
        told = "Send the body in one piece, with a Content-Length."
        return error_response(request, HTTPStatus.LENGTH_REQUIRED, told)
    limit = largest(request.META.get("CONTENT_TYPE", ""))
    if int(length) <= limit:
        return None
    told = f"The body has {length} bytes, and {limit} is the most that is taken here."
    return error_response(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
