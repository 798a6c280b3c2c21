"""The pages to start workflows, and that of failed items. The pages of runs are in `run_views`."""

from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.generic import View

from monitor.api.body_params import params_of
from monitor.apply_policy import (
    find_like,
    find_mapped_step,
    find_run,
    find_workflow,
    may_start,
    startable,
    visible_runs,
)
from monitor.http.namespace import our_url
from monitor.http.our_view import OurPage
from monitor.http.throttles import count_start
from monitor.pages.drawing.graph import sketch_of, workflow_graph
from monitor.pages.forms.earlier_run import form_like
from monitor.pages.forms.form import blank_form, filled_form, posted
from monitor.pages.live import LivePart, render_live
from monitor.pages.steps.details import Opened, may_see_details
from monitor.pages.typical_duration import typical_seconds
from monitor.policy import policy
from monitor.runs.mapped import PAGE_SIZE, all_items, failed_items, place_of, segments
from monitor.runs.starting import start_for
from monitor.runs.titles import step_titles
from parent.definition.workflow import Workflow, registry
from parent.errors import InvalidParams
from parent.models import Run
from parent.store.leases import any_executor_alive

__all__ = ["FailedItemsPage", "StartPage", "WorkflowPage"]

RECENT_RUNS = 8


class StartPage(OurPage, View):
    """The catalogue of workflows, and the caller's latest runs."""

    def get(self, request: HttpRequest) -> HttpResponse:
        found = visible_runs(request.user).filter(parent_run=None)
        found = found.defer("params", "files", "result")
        runs = list(found.order_by("-created_at", "-id")[:RECENT_RUNS])
        no_worker = not any_executor_alive()
        typical = typical_seconds()
        context = {
            "workflows": [
                (each, typical.get(each.name), sketch_of(each)) for each in startable(request.user)
            ],
            "registered": bool(registry.workflows()),
            "no_worker": no_worker,
            "runs": runs,
        }
        states = [(run.pk, run.state, run.cancel_requested_at) for run in runs]
        parts = [
            LivePart(id="notices", template="monitor/live/notices.html", depends_on=no_worker),
            LivePart(id="recent", template="monitor/live/recent.html", depends_on=states),
        ]
        return render_live(request, "monitor/start.html", context, parts)


class WorkflowPage(OurPage, View):
    """One workflow's form."""

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        workflow = find_workflow(request.user, name)
        if "again" not in request.GET:
            return _form_page(request, workflow, fields=blank_form(workflow))
        run = find_like(request.user, workflow, request.GET["again"])
        fields, left_out = form_like(workflow, run.params)
        return _form_page(request, workflow, fields=fields, like=run, left_out=left_out)

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        workflow = find_workflow(request.user, name)
        count_start(request)
        params = params_of(workflow, posted(workflow, request))
        try:
            run, _ = start_for(cast(User, request.user), workflow, params)
        except InvalidParams as refused:
            fields, errors = filled_form(workflow, params, refused.errors)
            return _form_page(
                request, workflow, HTTPStatus.BAD_REQUEST, fields=fields, errors=errors
            )
        return redirect(our_url(request, "run", run.pk))


class FailedItemsPage(OurPage, View):
    """The failed items of a mapped step, in pages."""

    every = False
    """Whether the page lists all items, not only the failed ones."""

    def get(self, request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
        run = find_run(request.user, run_id)
        step = find_mapped_step(run, name)
        after = place_of(request.GET.get("after"))
        titles, listed = (
            step_titles(run.workflow, [name]),
            all_items if self.every else failed_items,
        )
        items = listed(step, run.workflow, after=after, most=PAGE_SIZE + 1)
        title = gettext("Items of {name}") if self.every else gettext("Failed items of {name}")
        may_change = policy().may_change(cast(User, request.user), run)
        context = {
            "title": title.format(name=titles[name]),
            "every": self.every,
            "run": run,
            "step": step,
            "segments": segments(step.items or {}),
            "items": items[:PAGE_SIZE],
            "opened": Opened.of(request, run) if may_see_details(request.user) else None,
            "is_later": after >= 0,
            "next": items[PAGE_SIZE - 1].index if len(items) > PAGE_SIZE else None,
            "can_retry": run.state in Run.RETRIED_FROM
            and may_change
            and may_start(request.user, run.workflow),
        }
        return render(request, "monitor/items.html", context)


class AllItemsPage(FailedItemsPage):
    """All items of a mapped step, in pages, with the pages of their runs."""

    every = True


def _form_page(
    request: HttpRequest, workflow: Workflow, status: int = HTTPStatus.OK, **context: Any
) -> HttpResponse:
    """The form. The context has its `fields`, and `errors`, or the run that it is `like`."""
    context |= {"workflow": workflow, "graph": workflow_graph(workflow)}
    return render(request, "monitor/workflow.html", context, status=status)
