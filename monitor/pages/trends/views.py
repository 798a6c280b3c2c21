"""The page of a workflow's trends."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.generic import View

from monitor.apply_policy import find_workflow, visible_runs
from monitor.http.our_view import OurPage
from monitor.pages.trends.chart import durations, outcomes
from monitor.pages.trends.figures import RunTimes, trend_of

__all__ = ["DAYS", "MOST", "TrendsPage"]

DAYS = 30
MOST = 2_000
"""The latest runs that are read; if there are more, they tell of less than `DAYS`."""


class TrendsPage(OurPage, View):
    """How long the runs took of late, and how many failed: those that the caller may see."""

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        workflow = find_workflow(request.user, name)
        now = timezone.localtime()
        since = now - timedelta(days=DAYS)
        found = visible_runs(request.user).filter(workflow=name, created_at__gte=since)
        columns = found.order_by("-created_at", "-id").values_list(*RunTimes._fields)
        runs = [RunTimes(*row) for row in columns[: MOST + 1]]
        cut = len(runs) > MOST
        if cut:
            runs = runs[:MOST]
            since = timezone.localtime(runs[-1].created_at)
        trend = trend_of(runs, since=since, now=now)
        title = gettext("Trends of {name}").format(name=workflow.shown_title)
        context = {
            "title": title,
            "workflow": workflow,
            "trend": trend,
            "cut": cut,
            "days": DAYS,
            "durations": durations(trend.times),
            "outcomes": outcomes(trend.times),
            "highest": max(each.done + each.failed + each.cancelled for each in trend.times),
        }
        return render(request, "monitor/trends.html", context)
