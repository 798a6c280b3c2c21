"""The items of a mapped step over HTTP."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from monitor.access import find_mapped_step, find_run
from monitor.api import openapi
from monitor.api.base import ApiView
from monitor.api.requests import ByIndex, ItemQuery
from monitor.http.etag import answer, digest_of, not_modified
from monitor.runs.items import COLUMNS, item_row
from parent.models import Item

__all__ = ["ItemListView"]


class ItemListView(ApiView):
    """The items of a mapped step, in pages."""

    @openapi.list_items
    def get(self, request: Request, task_id: UUID, name: str) -> HttpResponse:
        query, run = ItemQuery.of(request), find_run(request.user, task_id)
        step = find_mapped_step(run, name)
        items = query.narrow(Item.objects.filter(step=step)).only(*COLUMNS, "state")
        paginator = ByIndex()
        page = paginator.paginate_queryset(items, request, view=self) or []
        results = [item_row(item) for item in page]
        document: dict[str, Any] = {
            "next": paginator.get_next_link(),
            "previous": paginator.get_previous_link(),
            "results": results,
        }
        digest = digest_of(document)
        return not_modified(request, digest) or answer(request, digest, document, ())
