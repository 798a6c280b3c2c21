"""The admin pages of notifications: rules, the log of deliveries, and webhooks that stopped."""

import json
from typing import Any, TypeAlias

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from parent.admin.chosen_rows import ChosenRows
from parent.admin.read_only import ReadOnly
from parent.models import Delivery, NotificationKind, NotificationRule, StoppedWebhook
from parent.notifications.outbox import replay
from parent.notifications.rule_form import RuleForm
from parent.notifications.rules import rotate
from parent.watch.queries import LARGE_RUN_FIELDS

__all__ = ["DeliveryAdmin", "NotificationRuleAdmin", "StoppedWebhookAdmin"]

Rows: TypeAlias = "QuerySet[Any]"


@admin.register(NotificationRule)
class NotificationRuleAdmin(ChosenRows):
    """Rules beside those in code. A secret is shown once, when it is made."""

    form = RuleForm
    list_display = ["__str__", "kind", "enabled", "created_at"]
    list_filter = ["kind", "enabled", "workflow"]
    ordering = ["workflow", "pk"]
    actions = ["rotate_the_secret"]

    def save_model(self, request: HttpRequest, obj: NotificationRule, form: Any, *_: Any) -> None:
        obj.save()
        if form.shown_secret:
            _show(request, obj, form.shown_secret)

    @admin.action(description="Rotate the secret: the old one also signs for a day")
    def rotate_the_secret(self, request: HttpRequest, queryset: Rows) -> None:
        for rule in queryset.filter(kind=NotificationKind.WEBHOOK):
            _show(request, rule, rotate(rule))

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        if not self.has_change_permission(request):
            actions.pop("rotate_the_secret", None)
        return actions


def _show(request: HttpRequest, rule: NotificationRule, secret: str) -> None:
    text = f"The secret of {rule.url} is {secret} - copy it now, it is not shown again."
    messages.success(request, text)


@admin.register(Delivery)
class DeliveryAdmin(ChosenRows, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The log of deliveries, newest first."""

    list_display = ["occasion", "subject", "target", "state", "attempts", "error", "created_at"]
    list_filter = ["state", "kind", "occasion", "created_at"]
    search_fields = ["=run__pk", "=firing__schedule__name", "target"]
    search_help_text = "The id of a run, the name of a schedule, or a part of a URL or an address"
    ordering = ["-created_at", "-id"]
    sortable_by = ["created_at"]
    show_full_result_count = False
    actions = ["replay"]
    exclude = ["log", "claim", "lane", "firing"]
    readonly_fields = ["subject", "tries"]

    def get_queryset(self, request: HttpRequest) -> Rows:
        rows = super().get_queryset(request).select_related("run", "rule", "firing__schedule")
        return rows.defer(*LARGE_RUN_FIELDS)

    @admin.display
    def tries(self, row: Delivery) -> str:
        """Each try with its time and its answer."""
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in row.log)

    @admin.action(description="Replay: send again, under the same id", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: Rows) -> None:
        number = replay(queryset.values_list("pk", flat=True))
        messages.success(request, f"{number} will be sent again; what still waits is left alone.")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("parent.change_delivery")


@admin.register(StoppedWebhook)
class StoppedWebhookAdmin(ChosenRows, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """URLs that answered 410 Gone. Deleting one switches it on again."""

    list_display = ["url", "stopped_at"]
    ordering = ["-stopped_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
