"""Answers a poll that finds nothing new before anything else is done for it.

It is by far the most frequent request, and reading the session and the user and calling the view
costs several times as much as reading the rows.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from monitor.polling.etag import signed_tags, unchanged
from monitor.polling.slow_down import pace
from monitor.runs.snapshot import Snapshot
from monitor.texts.row_texts import asked_language
from parent.store.outage import OUTAGE

__all__ = ["Unchanged", "snapshot_of"]

POLL = re.compile(r"/tasks/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/$")


class Unchanged:
    """`304` for the status of one task, where a signed tag proves who may have it.

    It stands after what every answer needs (CORS, https), and before what looks up the user.
    The tags are those of `monitor.polling.etag`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        polled = POLL.search(request.path_info) if request.method == "GET" else None
        # In an outage the view answers.
        with suppress(*OUTAGE):
            if polled and (signed := signed_tags(request)):
                snapshot = Snapshot([UUID(polled[1])])
                with pace.answering():
                    digest = snapshot.digest(timezone.now(), asked_language(request))
                if tag := signed.get(digest):
                    return unchanged(tag)
                request.snapshot = snapshot  # type: ignore[attr-defined]
        return self._get_response(request)


def snapshot_of(request: HttpRequest | Request, task_id: UUID) -> Snapshot:
    """The snapshot that the middleware has read of this task, or a new one."""
    read: Snapshot | None = getattr(request, "snapshot", None)
    return read or Snapshot([task_id])
