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
from django.core.signing import Signer
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.http import parse_etags

__all__ = ["answer", "digest_of", "not_modified", "signed_tags", "tagged", "unchanged"]

JITTER = 0.1
SIGNED_FOR = 60
"""Seconds; a signature holds until the end of the next such span of time."""
MOST_TAGS = 4

Document = dict[str, Any]


def not_modified(request: HttpRequest, digest: str) -> HttpResponse | None:
    """`304` where the caller, who may see it, has the answer of this digest; None where not."""
    return unchanged(_tag(request, digest)) if digest in _known_tags(request) else None


def unchanged(tag: str) -> HttpResponse:
    """`304`, with the tag of what the caller has."""
    return _tagged(HttpResponse(status=HTTPStatus.NOT_MODIFIED), tag)


def answer(
    request: HttpRequest, digest: str, document: Document, statuses: Sequence[Document]
) -> HttpResponse:
    """The document as JSON, with its tag.

    Callers are told to wait a little more or less than `poll_after_ms`, so that they do not all
    come at once; hence the tag is weak.

    Args:
        digest: of all that the document depends on, `poll_after_ms` included: a caller that gets
            a `304` waits as long as before.
        statuses: those in the document.
    """
    for status in statuses:
        if status["poll_after_ms"] is not None:
            status["poll_after_ms"] = round(status["poll_after_ms"] * _jitter())
    content = _as_json(document)
    return tagged(request, digest, HttpResponse(content, content_type="application/json"))


def tagged(request: HttpRequest, digest: str, response: HttpResponse) -> HttpResponse:
    """The answer with the caller's tag."""
    return _tagged(response, _tag(request, digest))


def signed_tags(request: HttpRequest) -> dict[str, str]:
    """Those of the caller's tags, by digest, that were given to them for this address not long ago.

    They go back as they are: a tag that was signed anew without a look at the caller would never
    end.
    """
    return {
        digest: _weak(digest, signature)
        for digest, signature in _known_tags(request).items()
        if signature and _is_signed(request, digest, signature)
    }


def digest_of(document: Document) -> str:
    """Of the document itself."""
    return blake2b(_as_json(document), digest_size=16).hexdigest()


def _jitter() -> float:
    """Around 1."""
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
    """What the caller has, from `If-None-Match`: digests with their signatures."""
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
    return Signer(salt="monitor.http.etag").signature(signed)


def _credentials(request: HttpRequest) -> list[str]:
    """What a caller proves with who they are; nothing where that is by other means."""
    told = [
        request.META.get("HTTP_AUTHORIZATION", ""),
        request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""),
    ]
    return told if any(told) else []
