"""Errors outside the API's views: a problem document for programs, a page for people."""

import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from monitor.http.problems import (
    PROBLEM_JSON,
    RETRY_AFTER,
    DatabaseAway,
    NoSpace,
    as_api_exception,
    errors_by_field,
    problem,
)
from monitor.texts.sentences import in_readers_language
from parent.store.outage import OUTAGE

__all__ = [
    "bad_request",
    "csrf_failure",
    "error_response",
    "forbidden",
    "locked_out",
    "not_found",
    "server_error",
]

WORDS: dict[int, tuple[Any, Any]] = {
    400: (_("This request cannot be read"), _("The request cannot be read.")),
    403: (_("You may not do this"), _("You may not do this.")),
    404: (
        _("There is nothing here"),
        _("There is nothing at this address: it is wrong, or what it showed was deleted."),
    ),
    405: (_("This cannot be done here"), _("This address does not take this method.")),
    429: (_("Too often"), _("You have asked too often.")),
    500: (
        _("Something went wrong"),
        _("The server failed; its log says why. Runs go on all the same."),
    ),
    507: (_("No space is left"), NoSpace.default_detail),
    503: (_("The database is away"), DatabaseAway.default_detail),
}
"""By status: the title of the page, and the default detail."""


def error_response(
    request: HttpRequest,
    status: int,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The error as a problem document or a page, whichever the request prefers."""
    title, words = WORDS.get(status, (HTTPStatus(status).phrase, HTTPStatus(status).description))
    detail = str(detail or words)
    request_id = getattr(request, "request_id", None)
    if request.get_preferred_type([PROBLEM_JSON, "text/html"]) != "text/html":
        document = problem(status, {"detail": detail}, request_id)
        return JsonResponse(document, status=status, content_type=PROBLEM_JSON, headers=headers)
    page = {"title": title, "detail": in_readers_language(detail), "request_id": request_id}
    # After a server error even the user may not be readable.
    known = request if status < HTTPStatus.INTERNAL_SERVER_ERROR else None
    html = render_to_string("monitor/error.html", page, known)
    return HttpResponse(html, status=status, headers=headers)


def of_exception(request: HttpRequest, exc: Exception) -> HttpResponse | None:
    """The answer to an error that DRF or the engine raised in a page; None for any other."""
    error = as_api_exception(exc)
    if not isinstance(error, APIException) or isinstance(error, DatabaseAway):
        return None
    wait = getattr(error, "wait", None)
    headers = {"Retry-After": f"{wait:.0f}"} if wait is not None else None
    return error_response(request, error.status_code, _said(error.detail), headers=headers)


def _said(detail: Any) -> str:
    """DRF's detail, which may be errors by field, in words."""
    if isinstance(detail, str):
        return str(detail)
    found = errors_by_field(detail)
    return " ".join(f"{field}: {' '.join(texts)}" for field, texts in found.items())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return of_exception(request, exception) or error_response(request, HTTPStatus.BAD_REQUEST)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return error_response(request, HTTPStatus.FORBIDDEN, _text_of(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return error_response(request, HTTPStatus.NOT_FOUND, _text_of(exception))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the exception is handled."""
    # Not in a middleware, which would not see the errors of other middleware.
    exc = sys.exception()
    if isinstance(exc, Exception) and (response := of_exception(request, exc)):
        return response
    if isinstance(exc, OUTAGE):
        wait = {"Retry-After": str(RETRY_AFTER)}
        return error_response(request, HTTPStatus.SERVICE_UNAVAILABLE, headers=wait)
    return error_response(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """Django's `CSRF_FAILURE_VIEW`."""
    detail = _(
        "This form was not sent from a page of ours, or is too old: reload the page, try again."
    )
    return error_response(request, HTTPStatus.FORBIDDEN, str(detail))


def locked_out(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """The answer to a login after too many failures; django-axes calls it."""
    wait = int(settings.AXES_COOLOFF_TIME.total_seconds())
    detail = gettext("Too many logins have failed. Try again in {number} minutes.").format(
        number=-(-wait // 60)
    )
    status = HTTPStatus.TOO_MANY_REQUESTS
    return error_response(request, status, detail, headers={"Retry-After": str(wait)})


def _text_of(exception: Exception) -> str | None:
    """The text of an error that a view of ours raised. Django's resolver raises with a dict."""
    said = exception.args[0] if exception.args else None
    return said if isinstance(said, str) else None
