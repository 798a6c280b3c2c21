"""The page of workers, queues and lines, for who is on call."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.generic import View

from monitor.apply_policy import visible_runs
from monitor.http.our_view import OurPage
from monitor.ops.workers import fleet
from monitor.pages.live import LivePart, render_live
from parent.store import clock

__all__ = ["WorkersPage"]


class WorkersPage(OurPage, View):
    """Who runs what, what waits for whom, and since when. An open page brings itself up to date."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("parent.view_executor"):
            raise PermissionDenied("Workers take the permission parent.view_executor.")
        now = clock.now()
        found = fleet(now)
        named = {row.run_id for worker in found.workers for row in worker.running}
        named |= {run for line in found.lines for run in line.held_by}
        seen = {*visible_runs(request.user).filter(pk__in=named).values_list("pk", flat=True)}
        part = LivePart(id="fleet", template="monitor/live/fleet.html", depends_on=found.shown)
        context = {"fleet": found, "now": now, "seen": seen}
        return render_live(request, "monitor/workers.html", context, [part])
