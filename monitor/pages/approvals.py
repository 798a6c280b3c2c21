"""The pages where people decide: what waits for them, one decision, and one by a signed link."""

from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.generic import View
from rest_framework.serializers import Serializer

from monitor.api.body_params import values_by
from monitor.apply_policy import find_to_signal, may_see
from monitor.http.error_pages import error_response
from monitor.http.namespace import our_url
from monitor.http.our_view import OpenPage, OurPage
from monitor.pages.forms.form import blank_form, filled_form, posted
from monitor.pages.live import LivePart, render_live
from monitor.runs.approvals import NoLink, linked_to, seconds_left, waiting_for
from monitor.runs.titles import step_titles, titled_error, workflow_title
from monitor.texts.row_texts import say
from monitor.texts.sentences import in_readers_language
from parent.definition.signals import Approval
from parent.errors import InvalidParams, SignalClosed, SignalGiven, UnknownSignal
from parent.models import ReceivedSignal, Run, Step, StepState
from parent.runs.signals.give import close, definition_of, give
from parent.runs.signals.payload import serializer_of

__all__ = ["CloseSignalPage", "DecideByLink", "DecidePage", "WaitingPage"]

SHOWN = ("state", "message", "error", "queued_at", "due_at")
"""What the page of an approval reads of its step."""


class WaitingPage(OurPage, View):
    """The approvals that the caller may decide."""

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = waiting_for(request.user)
        found = [(each.run.pk, each.name, each.since) for each in asked]
        parts = [LivePart(id="asked", template="monitor/live/asked.html", depends_on=found)]
        context = {"title": gettext("Waiting for you"), "asked": asked}
        return render_live(request, "monitor/waiting.html", context, parts)


class DecidePage(OurPage, View):
    """One approval: its form, and two buttons."""

    def get(self, request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
        run = find_to_signal(request.user, run_id, name)
        return _page(request, run, _approval(run, name), request.user)

    def post(self, request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
        run = find_to_signal(request.user, run_id, name)
        approval = _approval(run, name)
        refused = _decide(request, run, approval, request.user)
        if refused is not None:
            return refused
        sees = may_see(request.user, run)
        return redirect(our_url(request, "run", run.pk) if sees else our_url(request, "waiting"))


class CloseSignalPage(OurPage, View):
    """POST closes a signal that feeds a mapped step: the button on the page of its run."""

    def post(self, request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
        run = find_to_signal(request.user, run_id, name)
        try:
            close(run.pk, name, who=request.user.get_username())
        except (SignalClosed, SignalGiven) as refused:
            messages.warning(request, in_readers_language(str(refused)))
        sees = may_see(request.user, run)
        return redirect(our_url(request, "run", run.pk) if sees else our_url(request, "waiting"))


@method_decorator(login_not_required, name="dispatch")
class DecideByLink(OpenPage, View):
    """One approval, by a signed link, without a login. GET decides nothing."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._answer(request, token)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._answer(request, token)

    def _answer(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            linked = linked_to(token)
        except NoLink as refused:
            return _not_stored(error_response(request, HTTPStatus.FORBIDDEN, str(refused)))
        step, user = linked.step, linked.user
        approval = _approval(step.run, step.name)
        answer = None
        if request.method == "POST":
            answer = _decide(request, step.run, approval, user, task_id=step.task_id)
        return _not_stored(answer or _page(request, step.run, approval, user, by_link=True))


def _not_stored(answer: HttpResponse) -> HttpResponse:
    # The address is a secret: no other page gets it.
    answer["Referrer-Policy"] = "same-origin"
    return answer


def _approval(run: Run, name: str) -> Approval:
    definition = definition_of(run, name)
    if not isinstance(definition, Approval):
        raise UnknownSignal(f"{name} is a signal: nobody decides about it.")
    return definition


def _form_of(approval: Approval) -> Any:
    """What the form has: all but the decision, which its two buttons send."""
    kind = serializer_of(approval)
    if approval.form is None:
        fields = {"comment": kind._declared_fields["comment"]}
        return SimpleNamespace(params=type("Comment", (Serializer,), fields))
    return SimpleNamespace(params=type("Form", (kind,), {"decision": None}))


def _decide(
    request: HttpRequest, run: Run, approval: Approval, user: Any, *, task_id: str | None = None
) -> HttpResponse | None:
    """Decide as the form says; the page with what is wrong, or None."""
    form = _form_of(approval)
    values = values_by(form.params, posted(form, request))
    values["decision"] = request.POST.get("decision", "")
    try:
        give(run.pk, approval.label, values, who=user.get_username(), task_id=task_id)
    except InvalidParams as refused:
        fields, errors = filled_form(form, values, refused.errors)
        status = HTTPStatus.BAD_REQUEST
        return _page(request, run, approval, user, status, fields=fields, errors=errors)
    except (SignalClosed, SignalGiven) as refused:
        if task_id is not None:
            return _page(request, run, approval, user, HTTPStatus.CONFLICT, by_link=True)
        messages.warning(request, in_readers_language(str(refused)))
    return None


def _page(
    request: HttpRequest,
    run: Run,
    approval: Approval,
    user: Any,
    status: int = HTTPStatus.OK,
    **context: Any,
) -> HttpResponse:
    """The page of an approval: its form, or how it was decided."""
    name = approval.label
    step = Step.objects.filter(run=run, name=name).only(*SHOWN).first()
    came = ReceivedSignal.objects.filter(run=run, name=name).first()
    titles = step_titles(run.workflow, [name])
    is_open = came is None and step is not None and step.state == StepState.RUNNING
    context = {
        "run": run,
        "step": step,
        "step_title": titles[name],
        "workflow_title": workflow_title(run.workflow),
        "came": came,
        "is_open": is_open,
        "why_over": "" if is_open or step is None else _why_over(run, step),
        "left": seconds_left(step, timezone.now()) if step is not None else None,
        "sees_run": request.user.is_authenticated and may_see(request.user, run),
        "decides_as": user.get_username(),
        "fields": blank_form(_form_of(approval)) if is_open else "",
        **context,
    }
    return render(request, "monitor/decide.html", context, status=status)


def _why_over(run: Run, step: Step) -> str:
    """Why nobody can decide it any more; empty if it has not been asked yet."""
    last = "cancelled" if step.state == StepState.CANCELLED else step.message
    return say(titled_error(step.error or "", run.workflow) or last)
