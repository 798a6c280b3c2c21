"""The page of notifications: rules, the log of deliveries, and replay. Without JavaScript."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import View

from children.sanitize import storable
from monitor.apply_policy import may_see_schedules, visible_runs, visible_schedules
from monitor.http.namespace import our_url
from monitor.http.our_view import OurPage
from parent.definition.notify import Webhook, as_words
from parent.definition.workflow import registry
from parent.models import Delivery, DeliveryState, NotificationRule, StoppedWebhook
from parent.notifications.outbox import replay
from parent.notifications.rule_form import RuleForm
from parent.notifications.rules import rotate

__all__ = ["NotificationsPage", "RulePage"]

PAGE_SIZE = 50
SECRET = "notification_secret"  # noqa: S105 - a key of the session


class NotificationsPage(OurPage, View):
    """Rules, stopped webhooks and the newest deliveries; each button is an action of `post`."""

    def get(self, request: HttpRequest) -> HttpResponse:
        _require(request, "view_delivery")
        state = request.GET.get("state", "")
        found = _deliveries(request)
        if state in DeliveryState.values:
            found = found.filter(state=state)
        first = _number(request.GET.get("from", ""))
        rows = list(found.order_by("-created_at", "-id")[first : first + PAGE_SIZE + 1])
        context = {
            "states": DeliveryState.choices,
            "state": state,
            "deliveries": rows[:PAGE_SIZE],
            "older": first + PAGE_SIZE if len(rows) > PAGE_SIZE else None,
            "rules": NotificationRule.objects.order_by("workflow", "pk"),
            "in_code": [*_rules_in_code()],
            "stopped": StoppedWebhook.objects.order_by("-stopped_at"),
            "may": {name: _may(request, name) for name in PERMISSIONS},
            "secret": request.session.pop(SECRET, None),
        }
        return render(request, "monitor/notifications.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        _require(request, "view_delivery")
        what, key = request.POST.get("do", ""), request.POST.get("key", "")
        if what not in ACTIONS:
            raise Http404("There is no such action.")
        _require(request, ACTIONS[what])
        try:
            _act(request, what, key)
        except (ValueError, TypeError):
            raise Http404("There is no such row.") from None
        return redirect(our_url(request, "notifications"))


ACTIONS = {
    "replay": "change_delivery",
    "rotate": "change_notificationrule",
    "remove": "delete_notificationrule",
    "switch-on": "delete_stoppedwebhook",
}
"""The permission that each action takes."""
PERMISSIONS = {*ACTIONS.values(), "add_notificationrule"}


def _act(request: HttpRequest, what: str, key: str) -> None:
    if what == "replay":
        replay(_deliveries(request).filter(pk=UUID(key)).values_list("pk", flat=True))
    elif what == "remove":
        NotificationRule.objects.filter(pk=int(key)).delete()
    elif what == "switch-on":
        StoppedWebhook.objects.filter(pk=storable(key)).delete()
    elif rule := NotificationRule.objects.filter(pk=int(key)).first():
        _show_once(request, rule, rotate(rule))


class RulePage(OurPage, View):
    """The form of a new rule, or of one that is there."""

    def get(self, request: HttpRequest, number: int | None = None) -> HttpResponse:
        rule = _rule(request, number)
        return self._form(request, RuleForm(instance=rule))

    def post(self, request: HttpRequest, number: int | None = None) -> HttpResponse:
        form = RuleForm(request.POST, instance=_rule(request, number))
        if not form.is_valid():
            return self._form(request, form, status=400)
        rule = form.save()
        if form.shown_secret:
            _show_once(request, rule, form.shown_secret)
        return redirect(our_url(request, "notifications"))

    def _form(self, request: HttpRequest, form: RuleForm, status: int = 200) -> HttpResponse:
        context = {"form": form, "new": form.instance.pk is None}
        return render(request, "monitor/notification_rule.html", context, status=status)


def _rule(request: HttpRequest, number: int | None) -> NotificationRule | None:
    _require(request, "add_notificationrule" if number is None else "change_notificationrule")
    if number is None:
        return None
    rule = NotificationRule.objects.filter(pk=number).first()
    if rule is None:
        raise Http404("There is no such rule: it was removed.")
    return rule


def _deliveries(request: HttpRequest) -> "QuerySet[Delivery]":
    """The deliveries about the runs and the schedules that the caller may see."""
    seen = Q(run__in=visible_runs(request.user).values("pk"))
    if may_see_schedules(request.user):
        seen |= Q(firing__schedule__in=visible_schedules(request.user).values("pk"))
    return Delivery.objects.filter(seen).select_related("firing__schedule").defer("body")


def _rules_in_code() -> Any:
    for workflow in registry.workflows():
        for rule in workflow.notify:
            target = rule.url if isinstance(rule, Webhook) else ", ".join(as_words(rule.to))
            yield {"workflow": workflow, "on": as_words(rule.on), "target": target}


def _show_once(request: HttpRequest, rule: NotificationRule, secret: str) -> None:
    request.session[SECRET] = {"url": rule.url, "text": secret}


def _may(request: HttpRequest, permission: str) -> bool:
    return cast(User, request.user).has_perm(f"parent.{permission}")


def _require(request: HttpRequest, permission: str) -> None:
    if not _may(request, permission):
        raise PermissionDenied(f"This takes the permission parent.{permission}.")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
