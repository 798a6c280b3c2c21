"""What the operations share: problem documents, headers, and the statuses of their answers."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from monitor.http.problems import PROBLEM_JSON

__all__ = [
    "ETAG",
    "IF_NONE_MATCH",
    "NOT_MODIFIED",
    "REASONS",
    "RETRY_AFTER",
    "SENT",
    "UNSAFE",
    "Decorator",
    "Problem",
    "Shape",
    "Texts",
    "header",
    "problems",
]

Decorator = Callable[[Any], Any]

Shape = serializers.Serializer[Any]


class Texts(Shape):
    """What an answer has beside its English, for a request with `lang`."""

    texts = serializers.DictField(
        child=serializers.CharField(),
        required=False,
        help_text="Only with `lang`: from each English text in this answer to its translation.",
    )


class Problem(Texts):
    """What went wrong, as RFC 9457 has it."""

    type = serializers.CharField()
    title = serializers.CharField(help_text="The HTTP status in words.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What is wrong, and what to do.")
    errors = serializers.DictField(  # type: ignore[assignment] # DRF removes declared fields from the class
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Sentences by field, where fields are wrong.",
    )
    request_id = serializers.CharField(
        required=False, help_text="The id of this request in the server's log."
    )


REASONS = {
    304: "Nothing has changed since the answer with that `ETag`.",
    400: "The request cannot be read, or fields of it are wrong: `errors` names them.",
    401: "No login, or a wrong token.",
    403: "The login does not suffice, or a session's request lacks its CSRF token.",
    404: "It does not exist, or the caller may not see it.",
    406: "The answer is JSON, and `Accept` refuses that.",
    409: "The state of the run does not allow this.",
    411: "The request has no Content-Length.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    429: "Too many requests: wait as long as `Retry-After` says.",
    503: "The database is away: ask again after `Retry-After`. No run is lost.",
    507: "The server has no space left to store this.",
}


def problems(*statuses: int) -> dict[Any, Any]:
    """The problem documents of an operation: these statuses, and those of every operation."""
    return {
        (status, PROBLEM_JSON): OpenApiResponse(Problem, description=REASONS[status])
        for status in sorted({401, 406, 503, *statuses})
    }


def header(name: str, description: str, *statuses: int, **more: Any) -> OpenApiParameter:
    """A header of the answers with these statuses; without any, of the request."""
    return OpenApiParameter(
        name,
        more.pop("type", str),
        OpenApiParameter.HEADER,
        description=description,
        response=list(statuses) or False,
        **more,
    )


RETRY_AFTER = header("Retry-After", "Seconds to wait.", 429, 503, type=int)
ETAG = header("ETag", "Send it as `If-None-Match` with the next poll.", 200, 304)
IF_NONE_MATCH = header("If-None-Match", "The `ETag` of the answer that the caller has.")
NOT_MODIFIED = {304: OpenApiResponse(description=REASONS[304])}
SENT = (403, 411, 413)
"""The statuses of every operation that may have a body."""
UNSAFE = (*SENT, 400, 415)
