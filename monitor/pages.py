"""The pages for people."""

from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import select_template
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.generic import TemplateView, View
from sesame.views import LoginView as SesameLoginView

from monitor.access import (
    find,
    find_to_change,
    find_to_retry,
    find_workflow,
    startable,
    visible_runs,
)
from monitor.forms import blank_form, filled_form, params_of, posted
from monitor.history import history_of
from monitor.status import status_of
from monitor.throttles import count_start
from parent.cancel import cancel
from parent.definitions import Workflow
from parent.errors import CannotRetry, InvalidParams, RunEnded, UnknownRun
from parent.models import Run, RunState
from parent.retry import retry
from parent.start import start

__all__ = [
    "LinkLoginPage",
    "LoginPage",
    "RunCancel",
    "RunPage",
    "RunResult",
    "RunRetry",
    "StartPage",
    "WorkflowPage",
]

RECENT_RUNS = 10


class LoginPage(LoginView):
    """Sign in with name and password."""

    template_name = "monitor/login.html"
    redirect_authenticated_user = True


@method_decorator(login_not_required, name="dispatch")
class LinkLoginPage(SesameLoginView):  # type: ignore[misc]
    """Sign in with a one-time link."""

    def login_failed(self) -> HttpResponse:
        return render(self.request, "monitor/login_link.html", status=HTTPStatus.FORBIDDEN)


class StartPage(LoginRequiredMixin, TemplateView):
    """The catalogue of workflows, and the caller's latest runs."""

    template_name = "monitor/start.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        runs = visible_runs(self.request.user).defer("params", "files", "result")
        return super().get_context_data(
            workflows=startable(self.request.user),
            runs=runs.order_by("-created_at", "-id")[:RECENT_RUNS],
            **kwargs,
        )


class WorkflowPage(LoginRequiredMixin, View):
    """One workflow's form."""

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        workflow = find_workflow(request.user, name)
        return _form_page(request, workflow, blank_form(workflow))

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        workflow = find_workflow(request.user, name)
        count_start(request)
        params = params_of(workflow, posted(workflow, request))
        try:
            run = start(workflow, params, owner=cast(User, request.user))
        except InvalidParams as refused:
            fields, errors = filled_form(workflow, params, refused.errors)
            return _form_page(request, workflow, fields, errors)
        return redirect("run", run.pk)


def _form_page(
    request: HttpRequest, workflow: Workflow, fields: SafeString, errors: list[str] | None = None
) -> HttpResponse:
    """The form; `errors` are those that belong beside no field, None before anything was sent."""
    context = {"workflow": workflow, "fields": fields, "errors": errors}
    status = HTTPStatus.OK if errors is None else HTTPStatus.BAD_REQUEST
    return render(request, "monitor/workflow.html", context, status=status)


class RunPage(LoginRequiredMixin, View):
    """One run: its bars, and its result or its error."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run, child = find(request.user, run_id)
        if child is not None:
            return redirect("run", run.pk)
        now = timezone.now()
        return render(
            request,
            "monitor/run.html",
            {
                "run": run,
                "status": status_of(run, run.steps.all(), now=now),
                "now": now,
                "result": result_html(run),
                "history": history_of(run),
            },
        )


class RunCancel(LoginRequiredMixin, View):
    """The button that cancels a run."""

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = find_to_change(request.user, run_id)
        try:
            cancel(run.pk, who=request.user.get_username())
        except (RunEnded, UnknownRun) as refused:
            messages.warning(request, str(refused))
        return redirect("run", run.pk)


class RunRetry(LoginRequiredMixin, View):
    """The button that tries a failed or cancelled run again."""

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = find_to_retry(request.user, run_id)
        count_start(request)
        try:
            retry(run.pk, who=request.user.get_username())
        except (CannotRetry, UnknownRun) as refused:
            messages.warning(request, str(refused))
        return redirect("run", run.pk)


class RunResult(LoginRequiredMixin, View):
    """A run's result alone, for the page that watched the run to its end."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run, child = find(request.user, run_id)
        if child is not None or run.state != RunState.SUCCESS:
            raise Http404("This run has no result.")
        return HttpResponse(result_html(run))


def result_html(run: Run) -> SafeString:
    """The result as HTML: by the workflow's own template, else as JSON; empty without one.

    A workflow ships its own as `<workflow>/result.html`; it gets `result` and `run`.
    """
    if run.state != RunState.SUCCESS:
        return SafeString()
    template = select_template([f"{run.workflow}/result.html", "monitor/result.html"])
    return SafeString(template.render({"result": run.result, "run": run}))
