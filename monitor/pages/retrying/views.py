"""The page with the form of a retry, and the actions of the buttons that retry."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.generic import View

from monitor.apply_policy import find_to_retry
from monitor.http.namespace import namespace_of, our_url
from monitor.http.our_view import OurPage
from monitor.http.throttles import count_start
from monitor.pages.retrying.form import RetryForm
from monitor.pages.run_views import RunAction
from monitor.runs.snapshot import Snapshot, task_status
from parent.errors import CannotRetry, InvalidRetry
from parent.models import Run
from parent.runs.user_retry.retry import retry

__all__ = ["RunRetry"]


class RunRetry(OurPage, View):
    """Retries a failed or cancelled run.

    GET shows the form. POST retries: as the form says if it names `how`; else as a button does,
    the whole run, from a `step` on, or one `item` of it.
    """

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = find_to_retry(request.user, run_id)
        if run.state not in Run.RETRIED_FROM or run.is_child:
            return redirect(our_url(request, "run", run.pk))
        form, title = _form(request, run, chosen=request.GET.get("step", ""))
        return _page(request, run, form, title)

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        if "how" not in request.POST:
            return RetryAction(request=request).post(request, run_id)
        run = find_to_retry(request.user, run_id)
        form, title = _form(request, run, chosen=request.POST.get("step", ""), data=request.POST)
        if "show" in request.POST:
            return _page(request, run, form.for_step(), title)
        if form.is_valid():
            count_start(request)
            try:
                retry(run.pk, **form.options, who=request.user.get_username())
                return redirect(our_url(request, "run", run.pk))
            except (CannotRetry, InvalidRetry) as refused:
                form.refuse(str(refused))
        return _page(request, run, form, title, HTTPStatus.BAD_REQUEST)


class RetryAction(RunAction):
    """A button that retries the run from where it failed, from a step on, or one item."""

    def find(self, request: HttpRequest, run_id: UUID) -> Run:
        run = find_to_retry(request.user, run_id)
        count_start(request)
        return run

    def act(self, run: Run, who: str) -> None:
        form = self.request.POST
        retry(run.pk, step=form.get("step"), item=form.get("item"), who=who)


def _form(request: HttpRequest, run: Run, **options: Any) -> tuple[RetryForm, str]:
    """The form of the run, and the title of its workflow."""
    task = Snapshot([run.pk], results=False).task(request.user)
    status = task_status(task, now=timezone.now(), namespace=namespace_of(request))
    return RetryForm(run, task.steps, status["steps"], **options), status["title"]


def _page(
    request: HttpRequest, run: Run, form: RetryForm, title: str, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {
        "title": gettext("Retry {name}").format(name=title),
        "workflow_title": title,
        "run": run,
        "retry_form": form,
    }
    return render(request, "monitor/retry.html", context, status=status)
