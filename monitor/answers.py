"""The answer to a poll: an `ETag` over all that it shows, `304` while that is unchanged.

Most polls find nothing new, and looking up who asks costs more than looking. So a tag is signed
with the credentials that it was given to: whoever sends it back with the same credentials is
told that nothing has changed, and nothing else, without being looked up for a minute or two.
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
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.http import parse_etags

__all__ = ["poll_answer", "shows_signed_tag", "unchanged"]

JITTER = 0.1
SIGNED_FOR = 60
"""Seconds; a signature holds until the end of the next such span of time."""
MOST_TAGS = 4

Document = dict[str, Any]


def poll_answer(
    request: HttpRequest, document: Document, statuses: Sequence[Document]
) -> HttpResponse:
    """The document as JSON, or `304` where the caller has it already.

    The tag covers `poll_after_ms` as well: a caller that gets a `304` waits as long as before.
    What is sent differs a little from that, so that callers do not all come at once; hence the
    tag is weak.

    Args:
        statuses: those in the document, whose callers come again.
    """
    digest = _digest(document)
    if digest in known_tags(request):
        return _not_modified(request, digest)
    for status in statuses:
        if status["poll_after_ms"] is not None:
            status["poll_after_ms"] = round(status["poll_after_ms"] * jitter())
    answer = HttpResponse(as_json(document), content_type="application/json")
    return _tagged(request, digest, answer)


def shows_signed_tag(request: HttpRequest) -> bool:
    """Whether a tag that the caller has was given to them, for this address, not long ago."""
    return any(
        signature and constant_time_compare(signature, _signature(request, digest, span))
        for digest, signature in known_tags(request).items()
        for span in (_span(), _span() - 1)
    )


def unchanged(request: HttpRequest, document: Document) -> HttpResponse | None:
    """`304` where the caller has this document already; None where not."""
    digest = _digest(document)
    return _not_modified(request, digest) if digest in known_tags(request) else None


def known_tags(request: HttpRequest) -> dict[str, str]:
    """What the caller has, from `If-None-Match`: digests with their signatures."""
    header = request.META.get("HTTP_IF_NONE_MATCH", "")
    tags = [tag.removeprefix("W/").strip('"') for tag in parse_etags(header)[:MOST_TAGS]]
    return {digest: signature for digest, _, signature in (tag.partition(".") for tag in tags)}


def jitter() -> float:
    """Around 1."""
    return random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret


def as_json(document: Document) -> bytes:
    """UTF-8; times as ISO 8601 in UTC, with a Z."""
    text = json.dumps(
        document, default=_time, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _digest(document: Document) -> str:
    return blake2b(as_json(document), digest_size=16).hexdigest()


def _not_modified(request: HttpRequest, digest: str) -> HttpResponse:
    return _tagged(request, digest, HttpResponse(status=HTTPStatus.NOT_MODIFIED))


def _tagged(request: HttpRequest, digest: str, answer: HttpResponse) -> HttpResponse:
    answer["ETag"] = f'W/"{digest}.{_signature(request, digest, _span())}"'
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _span() -> int:
    return int(time.time() // SIGNED_FOR)


def _signature(request: HttpRequest, digest: str, span: int) -> str:
    who = credentials(request)
    if not who:
        return ""
    value = json.dumps([who, request.get_full_path(), digest, span])
    return salted_hmac("monitor.answers", value, algorithm="sha256").hexdigest()[:32]


def credentials(request: HttpRequest) -> list[str]:
    """What a caller proves with who they are; nothing where that is by other means."""
    told = [
        request.META.get("HTTP_AUTHORIZATION", ""),
        request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""),
    ]
    return told if any(told) else []
