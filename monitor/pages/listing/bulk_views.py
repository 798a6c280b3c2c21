"""The page that says what will be done to how many runs, and then what came of each."""

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.generic import View

from monitor.apply_policy import startable, visible_runs
from monitor.http.namespace import our_url
from monitor.http.our_view import OurPage
from monitor.pages.listing.bulk import ACTIONS, MOST, carry_out, plan_for, runs_with
from monitor.pages.listing.filter import RunFilter
from parent.models import Run

__all__ = ["BulkPage"]


class BulkPage(OurPage, View):
    """POST from the list asks; POST from its own page, with `sure`, does it.

    The form names the runs: each as `run`, or all that match the filters in `query` by `all`. What
    is done is done to the runs that the page has named, and to no other.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect(our_url(request, "runs"))

    def post(self, request: HttpRequest) -> HttpResponse:
        user = cast(User, request.user)
        action = ACTIONS.get(request.POST.get("do", ""))
        if action is None:
            raise Http404("There is no such action.")
        query = request.POST.get("query", "")
        back = f"{our_url(request, 'runs')}{'?' if query else ''}{query}"
        if "all" in request.POST and "sure" not in request.POST:
            runs = _matching(user, QueryDict(query))
        else:
            runs = runs_with(user, _ids(request))
        if not runs:
            messages.warning(request, gettext("Nothing was done: tick at least one run."))
            return redirect(back)
        plan = plan_for(action, user, runs[:MOST])
        context: dict[str, Any] = {"back": back, "query": query, "do": request.POST["do"]}
        context["left"] = len(runs) > MOST
        if "sure" in request.POST:
            plan = carry_out(plan, request)
            gone = not plan.ready
            context |= {"plan": plan, "title": plan.done, "is_done": True, "nothing": gone}
        else:
            context |= {"plan": plan, "title": gettext("{what}?").format(what=plan.question)}
            context["most"] = ngettext("{n} run", "{n} runs", MOST).format(n=MOST)
        return render(request, "monitor/bulk.html", context)


def _matching(user: User, query: QueryDict) -> list[Run]:
    """The newest runs that match the filters of the list, one more than are taken."""
    workflows = [workflow.name for workflow in startable(user)]
    wanted = RunFilter(query, workflows=workflows, owners=True)
    found = wanted.narrow(visible_runs(user)).select_related("owner")
    if wanted.until is not None:
        found = found.filter(created_at__lt=wanted.until)
    found = found.defer("params", "files", "result").order_by("-created_at", "-id")
    return list(found[: MOST + 1])


def _ids(request: HttpRequest) -> list[UUID]:
    """The ids of the ticked runs, one more than are taken; what is not an id is left out."""
    found = []
    for text in request.POST.getlist("run")[: MOST + 1]:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
