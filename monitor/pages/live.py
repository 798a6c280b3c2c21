"""Parts of a page that an open browser keeps up to date.

The first answer has the whole page. Later the browser asks for the same address, and says in the
header `Live-Parts` which parts it shows, with their digests: `timeline=4f0c result=93ab`. It gets
those that have changed, and nothing else of the page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

__all__ = ["HEADER", "LivePart", "render_live"]

HEADER = "Live-Parts"


@dataclass(frozen=True, kw_only=True, slots=True)
class LivePart:
    """One part, with its id on the page.

    Its template has an element with this id, and `data-live="{{ live.ID }}"`.

    Args:
        depends_on: the values that the part shows, except for the time. A part whose values are
            those of before has not changed.
    """

    id: str
    template: str
    depends_on: object

    @property
    def digest(self) -> str:
        return blake2b(repr(self.depends_on).encode(), digest_size=8).hexdigest()


def render_live(
    request: HttpRequest, template: str, context: dict[str, Any], parts: Iterable[LivePart]
) -> HttpResponse:
    """The page, or those of its parts that the browser asks for and that have changed."""
    digests = {part.id: (part.template, part.digest) for part in parts}
    context = {**context, "live": {id: digest for id, (_, digest) in digests.items()}}
    if HEADER not in request.headers:
        return render(request, template, context)
    shown = dict(each.split("=", 1) for each in request.headers[HEADER].split() if "=" in each)
    changed = [
        template
        for id, (template, digest) in digests.items()
        if id in shown and shown[id] != digest
    ]
    return render(request, "monitor/live.html", {**context, "changed": changed})
