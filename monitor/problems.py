"""Errors as RFC 9457 problem documents, and as pages for those who asked for one."""

import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler as drf_exception_handler

from parent.errors import (
    CannotRetry,
    InvalidParams,
    InvalidRetry,
    KeyReused,
    RunActive,
    RunEnded,
    UnknownRun,
    UnknownWorkflow,
)
from parent.outage import OUTAGE

__all__ = ["bad_request", "exception_handler", "forbidden", "not_found", "server_error"]

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER = 5
"""Seconds after which a client may ask again while the database is away."""


class Conflict(APIException):
    """What was asked for does not go with the state that the run is in."""

    status_code = HTTPStatus.CONFLICT


class DatabaseAway(APIException):
    """The database does not answer."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = (
        f"The database does not answer. Runs are not lost; ask again in {RETRY_AFTER} s."
    )
    wait = RETRY_AFTER  # DRF's name for the header Retry-After


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Make a problem document of what an API view raised; named in `REST_FRAMEWORK`.

    None, for what nobody foresaw, leaves the error to Django, which logs it.
    """
    response = drf_exception_handler(_as_api_exception(exc), context)
    if response is not None:
        response.data = problem(response.status_code, response.data)
        response.content_type = PROBLEM_JSON
    return response


def _as_api_exception(exc: Exception) -> Exception:
    match exc:
        case InvalidParams():
            return ValidationError(exc.errors)
        case InvalidRetry():
            return ValidationError({api_settings.NON_FIELD_ERRORS_KEY: [str(exc)]})
        case UnknownWorkflow() | UnknownRun():
            return NotFound(str(exc))
        case RunEnded() | CannotRetry() | KeyReused():
            return Conflict(str(exc))
        case OperationalError() | InterfaceError():
            return DatabaseAway()
        case RunActive():
            return Conflict(str(exc) or "The run has not ended yet: wait for its end.")
    return exc


def problem(status: int, data: Any) -> dict[str, Any]:
    """A problem document: `type, title, status, detail`, and `errors` where fields are wrong.

    Args:
        status: the HTTP status.
        data: what DRF would have answered: `{"detail": text}`, or errors by field.
    """
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
    }
    if isinstance(data, Mapping) and set(data) == {"detail"} and isinstance(data["detail"], str):
        return document | {"detail": data["detail"]}
    errors = errors_by_field(data)
    return document | {"detail": f"Not accepted: {', '.join(errors)}.", "errors": errors}


def errors_by_field(errors: Any, field: str = "") -> dict[str, list[str]]:
    """DRF's nested errors as one list of sentences per field; `a.b` and `a.0` are nested."""
    if isinstance(errors, Mapping):
        parts = errors.items()
    elif isinstance(errors, list) and any(isinstance(part, Mapping | list) for part in errors):
        parts = dict(enumerate(errors)).items()
    else:
        texts = errors if isinstance(errors, list) else [errors]
        return {field or api_settings.NON_FIELD_ERRORS_KEY: [str(text) for text in texts]}
    flat: dict[str, list[str]] = {}
    for key, part in parts:
        # A list of rows has an empty part for each row that is right.
        if part:
            # What is wrong with a nested object as a whole is told of the field that has it.
            nested = field if field and key == api_settings.NON_FIELD_ERRORS_KEY else str(key)
            flat |= errors_by_field(
                part, nested if nested == field else f"{field}.{key}".lstrip(".")
            )
    return flat


def _wants_page(request: HttpRequest) -> bool:
    return request.get_preferred_type([PROBLEM_JSON, "text/html"]) == "text/html"


def _answer(
    request: HttpRequest, status: HTTPStatus, detail: str, page: Callable[[], HttpResponse]
) -> HttpResponse:
    if _wants_page(request):
        return page()
    return JsonResponse(
        problem(status, {"detail": detail}), status=status, content_type=PROBLEM_JSON
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return _answer(
        request,
        HTTPStatus.BAD_REQUEST,
        "The request cannot be read.",
        lambda: defaults.bad_request(request, exception),
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _answer(
        request,
        HTTPStatus.FORBIDDEN,
        "You may not do this.",
        lambda: defaults.permission_denied(request, exception),
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return _answer(
        request,
        HTTPStatus.NOT_FOUND,
        "There is nothing at this address.",
        lambda: defaults.page_not_found(request, exception),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the exception is handled."""
    # Not in a middleware: none would see what another one raised.
    if isinstance(sys.exception(), OUTAGE):
        return _unavailable(request)
    return _answer(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The server failed; its log says why.",
        lambda: defaults.server_error(request),
    )


def _unavailable(request: HttpRequest) -> HttpResponse:
    response = _answer(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        DatabaseAway.default_detail,
        lambda: defaults.server_error(request, "503.html"),
    )
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    response["Retry-After"] = str(RETRY_AFTER)
    return response
