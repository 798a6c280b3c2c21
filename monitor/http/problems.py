"""Errors as problem documents (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    ImproperlyConfigured,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import InterfaceError, OperationalError
from django.http import UnreadablePostError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler as drf_exception_handler

from monitor.texts.row_texts import asked_language
from monitor.texts.sentences import in_readers_language
from parent.errors import (
    AlreadyRunning,
    CannotRetry,
    InsideRun,
    InvalidParams,
    InvalidRetry,
    InvalidSchedule,
    KeyReused,
    RunActive,
    RunEnded,
    ScheduleGone,
    SignalClosed,
    SignalGiven,
    UnknownRun,
    UnknownSchedule,
    UnknownSignal,
    UnknownWorkflow,
)
from parent.store.outage import is_disk_full

__all__ = [
    "NO_FIELD",
    "PROBLEM_JSON",
    "RETRY_AFTER",
    "DatabaseAway",
    "as_api_exception",
    "errors_by_field",
    "exception_handler",
    "problem",
]

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
NO_FIELD = "non_field_errors"
"""Under which a problem has the errors that belong to no field."""
RETRY_AFTER = 5
"""Seconds after which a client may ask again while the database is away."""


class Conflict(APIException):
    """The request does not fit the state of the run."""

    status_code = HTTPStatus.CONFLICT


class TooLarge(APIException):
    """The body is larger than allowed."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The body, or what it has beside its files, is too large. Send less.")


class NoSpace(APIException):
    """The disk for files, or the database's, is full."""

    status_code = HTTPStatus.INSUFFICIENT_STORAGE
    default_detail = _(
        "The server has no space left to store this. Nothing was started or changed; "
        "tell whoever runs it, and send it again when there is space."
    )


class WrongSettings(APIException):
    """The settings of the server do not let it do this."""

    status_code = HTTPStatus.INTERNAL_SERVER_ERROR
    default_detail = _(
        "The server's settings do not let it do this, so nothing was started or changed. "
        "Whoever runs it finds in its log what to set, and `manage.py check` says it too."
    )


class DatabaseAway(APIException):
    """The database does not answer."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = _("The database does not answer. Runs are not lost; ask again in 5 s.")
    wait = RETRY_AFTER  # DRF sends it as Retry-After


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The problem document for an error of an API view; `ApiView` names this function.

    None for an unexpected error: Django handles and logs it.
    """
    response = drf_exception_handler(as_api_exception(exc), context)
    if response is not None:
        request = context.get("request")
        request_id = getattr(request, "request_id", None)
        response.data = problem(response.status_code, response.data, request_id)
        if request is not None and (language := asked_language(request)):
            with override(language):
                detail = response.data["detail"]
                response.data["texts"] = {detail: in_readers_language(detail)}
        response.content_type = PROBLEM_JSON
    return response


def as_api_exception(exc: Exception) -> Exception:
    """The DRF exception for an error of the engine, Django or the database, else `exc` itself."""
    match exc:
        case InvalidParams() | InvalidSchedule():
            return ValidationError(exc.errors)
        case InvalidRetry():
            return ValidationError({api_settings.NON_FIELD_ERRORS_KEY: [str(exc)]})
        case UnknownWorkflow() | UnknownRun() | UnknownSchedule() | UnknownSignal():
            return NotFound(str(exc))
        case (
            RunEnded()
            | CannotRetry()
            | KeyReused()
            | AlreadyRunning()
            | InsideRun()
            | ScheduleGone()
            | SignalGiven()
            | SignalClosed()
        ):
            return Conflict(str(exc))
        case OSError() | OperationalError() if is_disk_full(exc):
            return NoSpace()
        case OperationalError() | InterfaceError():
            return DatabaseAway()
        case RunActive():
            return Conflict(str(exc) or "The run has not ended yet: wait for its end.")
    return _of_django(exc)


def _of_django(exc: Exception) -> Exception:
    """The same for errors that Django raises about settings and bodies."""
    match exc:
        case ImproperlyConfigured():
            logger.error("%s", exc, exc_info=exc)
            return WrongSettings()
        case RequestDataTooBig():
            return TooLarge()
        case TooManyFieldsSent():
            most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
            return ParseError(f"There are too many fields: {most:,} is the most. Send JSON.")
        case TooManyFilesSent():
            most = settings.DATA_UPLOAD_MAX_NUMBER_FILES
            return ParseError(f"There are too many files: {most:,} is the most.")
        case UnreadablePostError():
            return ParseError("The body did not arrive whole. Send it again.")
    return exc


def problem(status: int, data: Any, request_id: str | None = None) -> dict[str, Any]:
    """A problem document: `type, title, status, detail`, and `errors` if fields are wrong.

    Args:
        status: the HTTP status.
        data: the body that DRF would answer with: `{"detail": text}`, or errors by field.
        request_id: the id of the request in the log.
    """
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
    }
    if request_id is not None:
        document["request_id"] = request_id
    if isinstance(data, Mapping) and set(data) == {"detail"} and isinstance(data["detail"], str):
        return document | {"detail": data["detail"]}
    errors = errors_by_field(data)
    return document | {"detail": f"Not accepted: {', '.join(errors)}.", "errors": errors}


def errors_by_field(errors: Any, field: str = "") -> dict[str, list[str]]:
    """DRF's nested errors, as a list of sentences per field. `a.b` and `a.0` are nested fields."""
    if isinstance(errors, Mapping):
        parts = errors.items()
    elif isinstance(errors, list) and any(isinstance(part, Mapping | list) for part in errors):
        parts = dict(enumerate(errors)).items()
    else:
        texts = errors if isinstance(errors, list) else [errors]
        return {field or NO_FIELD: [str(text) for text in texts]}
    flat: dict[str, list[str]] = {}
    for key, part in parts:
        # A list of rows has an empty part for each valid row.
        if part:
            # The serializers' own key, which is a setting of the project.
            whole = key == api_settings.NON_FIELD_ERRORS_KEY
            # An error of a nested object as a whole belongs to the field that has it.
            name = (field or NO_FIELD) if whole else f"{field}.{key}".lstrip(".")
            flat |= errors_by_field(part, name)
    return flat
