"""`ETag` and `304` for polls.

Most polls find nothing new, and looking up the caller costs more than reading the rows. So a tag is
signed together with the credentials of the caller that gets it. For a minute or two, a caller who
sends it back with the same credentials gets a `304` without being looked up, and nothing else.
"""

import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.signing import Signer
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.http import parse_etags

from monitor.polling.slow_down import pace

__all__ = ["answer", "digest_of", "not_modified", "signed_tags", "tagged", "unchanged"]

JITTER = 0.1
SIGNED_FOR = 60
"""Seconds in a span. A signature is valid in its span and in the next one."""
MOST_TAGS = 4

Document = dict[str, Any]


def not_modified(request: HttpRequest, digest: str) -> HttpResponse | None:
    """`304` if the caller has the answer with this digest; None if not. The caller may see it."""
    return unchanged(_tag(request, digest)) if digest in _known_tags(request) else None


def unchanged(tag: str) -> HttpResponse:
    """`304`, with the tag that the caller has."""
    return _tagged(HttpResponse(status=HTTPStatus.NOT_MODIFIED), tag)


def answer(
    request: HttpRequest, digest: str, document: Document, statuses: Sequence[Document]
) -> HttpResponse:
    """The document as JSON, with its tag.

    `poll_after_ms` is varied a little, so that callers do not all poll at once, and is longer while
    polls take much time. Hence the tag is weak.

    Args:
        digest: of all that the document depends on, including `poll_after_ms`: after a `304` a
            caller waits as long as before.
        statuses: the task statuses in the document.
    """
    for status in statuses:
        if status["poll_after_ms"] is not None:
            status["poll_after_ms"] = round(pace.longer(status["poll_after_ms"]) * _jitter())
    content = _as_json(document)
    return tagged(request, digest, HttpResponse(content, content_type="application/json"))


def tagged(request: HttpRequest, digest: str, response: HttpResponse) -> HttpResponse:
    """The answer with the tag for this caller."""
    return _tagged(response, _tag(request, digest))


def signed_tags(request: HttpRequest) -> dict[str, str]:
    """The caller's tags that have a valid signature for this caller and URL, by digest.

    They are sent back unchanged. A new signature without looking up the caller could be renewed
    for ever.
    """
    return {
        digest: _weak(digest, signature)
        for digest, signature in _known_tags(request).items()
        if signature and _is_signed(request, digest, signature)
    }


def digest_of(document: Document) -> str:
    """A digest of the document."""
    return blake2b(_as_json(document), digest_size=16).hexdigest()


def _jitter() -> float:
    """A random factor around 1."""
    return random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret


def _as_json(document: Document) -> bytes:
    """UTF-8; times as ISO 8601 in UTC, with a Z."""
    text = json.dumps(
        document, default=_time, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _tagged(response: HttpResponse, tag: str) -> HttpResponse:
    response["ETag"] = tag
    return response


def _known_tags(request: HttpRequest) -> dict[str, str]:
    """The tags of `If-None-Match`: signatures by digest."""
    header = request.META.get("HTTP_IF_NONE_MATCH", "")
    tags = [tag.removeprefix("W/").strip('"') for tag in parse_etags(header)[:MOST_TAGS]]
    return {digest: signature for digest, _, signature in (tag.partition(".") for tag in tags)}


def _tag(request: HttpRequest, digest: str) -> str:
    return _weak(digest, _signature(request, digest, _span()))


def _weak(digest: str, signature: str) -> str:
    return f'W/"{digest}.{signature}"'


def _span() -> int:
    return int(time.time() // SIGNED_FOR)


def _is_signed(request: HttpRequest, digest: str, signature: str) -> bool:
    spans = (_span(), _span() - 1)
    return any(constant_time_compare(signature, _signature(request, digest, s)) for s in spans)


def _signature(request: HttpRequest, digest: str, span: int) -> str:
    who = _credentials(request)
    if not who:
        return ""
    signed = json.dumps([*who, request.get_full_path(), digest, span])
    return Signer(salt="monitor.polling.etag").signature(signed)


def _credentials(request: HttpRequest) -> list[str]:
    """The credentials in a request: token header and session cookie; empty without both."""
    credentials = [
        request.META.get("HTTP_AUTHORIZATION", ""),
        request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""),
    ]
    return credentials if any(credentials) else []
