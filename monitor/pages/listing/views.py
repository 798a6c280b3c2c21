"""The page with the list of runs."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.views.generic import View

from monitor.apply_policy import startable, visible_runs
from monitor.http.our_view import OurPage
from monitor.pages.listing.counts import counts_by_state
from monitor.pages.listing.filter import RunFilter, page_of
from monitor.pages.live import LivePart, render_live
from parent.models import Run
from parent.store.leases import any_executor_alive

__all__ = ["RunsPage"]


class RunsPage(OurPage, View):
    """The runs that the caller may see, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        workflows = [workflow.name for workflow in startable(request.user)]
        mine = visible_runs(request.user)
        sees_others = mine.exclude(owner=cast(User, request.user)).exists()
        wanted = RunFilter(request.GET, workflows=workflows, owners=sees_others)
        found = wanted.narrow(mine.select_related("owner").defer("params", "files", "result"))
        before, after, until = wanted.page_before, wanted.page_after, wanted.until
        page = page_of(found, before, after=after, until=until, among=mine)
        counts = [] if wanted.searches else self._counts(request, wanted, mine)
        no_worker = not any_executor_alive()
        context = {
            "title": gettext("Runs"),
            "filter": wanted,
            "sees_others": sees_others,
            "runs": page.runs,
            "older": _query(request, before=page.older),
            "newer": _query(request, after=page.newer),
            "counts": counts,
            "query": _query_of(request.GET),
            "now": timezone.now(),
            "no_worker": no_worker,
        }
        rows = [(run.pk, run.state, run.cancel_requested_at) for run in page.runs]
        parts = [
            LivePart(id="notices", template="monitor/live/notices.html", depends_on=no_worker),
            LivePart(id="counts", template="monitor/live/counts.html", depends_on=counts),
            LivePart(
                id="list",
                template="monitor/live/list.html",
                depends_on=(rows, page.older, page.newer),
            ),
        ]
        return render_live(request, "monitor/runs.html", context, parts)

    @staticmethod
    def _counts(
        request: HttpRequest, wanted: RunFilter, mine: QuerySet[Run]
    ) -> list[dict[str, Any]]:
        """How many runs each choice of the filter by state has, with the query of its link."""
        runs = wanted.narrow(mine, any_state=True)
        chosen = wanted.cleaned_data.get("state", "")
        return [
            {
                "label": str(each.label),
                "shown": each.shown,
                "is_current": each.key == chosen,
                "query": _query_of(request.GET, state=each.key),
            }
            for each in counts_by_state(runs, cast(User, request.user))
        ]


def _query(request: HttpRequest, **place: UUID | None) -> str:
    """The query of another page of the list, with the same filters; empty if there is none."""
    if not any(place.values()):
        return ""
    return _query_of(request.GET, day=None, **place)


def _query_of(given: QueryDict, **changed: Any) -> str:
    """The filters in the query of a URL, with these `changed`, from the first page on."""
    query = given.copy()
    for name in ("before", "after", *changed):
        query.pop(name, None)
    query.update({name: str(value) for name, value in changed.items() if value})
    return query.urlencode()
