"""Middleware: a request's id and log line, the size of its body, its login, its errors."""

import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.functional import LazyObject, empty
from structlog.contextvars import bound_contextvars

from monitor.conf import access_log
from monitor.http.body_size import largest
from monitor.http.error_pages import error_response, of_exception
from monitor.http.our_view import NOT_STORED, PATIENCE
from parent.messages.publish import publish_timeout

__all__ = ["AddSlash", "ClosedByDefault", "ErrorResponses", "NotStored", "RequestLog"]

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]

REQUEST_ID = "X-Request-ID"
DIGITS = re.compile(r"[0-9]{1,18}")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
UTF_8 = ("utf-8", "utf8")
SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Gives each request an id, in its answer and in every log line while it is served.

    A proxy may have given it one already, in the same header.
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
            publish_timeout(PATIENCE),
        ):
            response = self._get_response(request)
            response[REQUEST_ID] = request_id
            if access_log():
                # Without the query, which has the secret of a login link.
                line = (request.method, request.path, response.status_code)
                figures = {
                    "status": response.status_code,
                    "milliseconds": round(1000 * (time.perf_counter() - begun), 1),
                }
                logger.info("%s %s %s", *line, extra=figures)
        return response


class NotStored:
    """Forbids caches to store an answer, which is for one user and may be outdated.

    Static files are an exception: they have a `Cache-Control` already.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.setdefault("Cache-Control", NOT_STORED)
        return response


class UserId:
    """The id of a request's user for the log; None until the user has been looked up.

    Looking it up here would cost a query, and may fail for the same reason as the request.
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


class SameMethod(HttpResponsePermanentRedirect):
    """After a 301, clients repeat a POST as a GET; after a 308 they send the same again."""

    status_code = HTTPStatus.PERMANENT_REDIRECT


class AddSlash(CommonMiddleware):
    """Django's, which redirects to the address with the slash that it lacks; a POST stays one."""

    response_redirect_class = SameMethod


class ClosedByDefault(LoginRequiredMiddleware):
    """Sends anonymous users to the login, unless the view allows them.

    Django's own middleware looks up the user even for views that need none. But the answer to a
    health check must not depend on the database.
    """

    def process_view(self, request: HttpRequest, view_func: Any, *given: Any) -> Any:
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, *given)


class ErrorResponses:
    """Rejects what nothing behind it could read, such as a body that is too large, and gives each
    error a body.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = unreadable(request) or self._get_response(request)
        if response.status_code >= HTTPStatus.BAD_REQUEST and not (
            response.streaming or response.content
        ):
            # Such as Django's 405. Keep its headers.
            error = error_response(request, response.status_code)
            response.content = error.content
            response["Content-Type"] = error["Content-Type"]
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return of_exception(request, exception)


def unreadable(request: HttpRequest) -> HttpResponse | None:
    """The error response to a request that nothing behind can read; None for any other."""
    return cookie_error(request) or charset_error(request) or body_error(request)


def cookie_error(request: HttpRequest) -> HttpResponse | None:
    """The error response to cookies with a NUL; None to any others.

    PostgreSQL, which is asked for the session of that name, knows no such text.
    """
    if not any("\0" in value for value in request.COOKIES.values()):
        return None
    detail = "A cookie has a NUL in it. Delete the cookies of this site, and sign in again."
    return error_response(request, HTTPStatus.BAD_REQUEST, detail)


def charset_error(request: HttpRequest) -> HttpResponse | None:
    """The error response to a form that says it is not in UTF-8; None for any other request."""
    charset = str((request.content_params or {}).get("charset", UTF_8[0]))
    if request.content_type not in FORMS or charset.lower() in UTF_8:
        return None
    detail = f"Send the form in UTF-8: it says that it is in {charset}."
    return error_response(request, HTTPStatus.BAD_REQUEST, detail)


def body_error(request: HttpRequest) -> HttpResponse | None:
    """The error response to a body that is larger than the settings allow; None for any other.

    It relies on Content-Length: no server passes on more than that. Django would take a body of
    unknown length as empty.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not DIGITS.fullmatch(length):
        return error_response(request, HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
    if "Transfer-Encoding" in request.headers:
        detail = "Send the body in one piece, with a Content-Length."
        return error_response(request, HTTPStatus.LENGTH_REQUIRED, detail)
    limit = largest(request.META.get("CONTENT_TYPE", ""))
    if int(length) <= limit:
        return None
    detail = f"The body has {length} bytes, and {limit} is the most that is taken here."
    return error_response(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
