"""Checks of notifications: what waits long, was given up or stopped; settings of e-mail."""

from collections.abc import Iterator
from datetime import timedelta

from parent.models import (
    Delivery,
    DeliveryState,
    NotificationKind,
    NotificationRule,
    StoppedWebhook,
)
from parent.notifications import outbox
from parent.notifications.rule_problems import email_settings_problems
from parent.operations.doctor.finding import EXAMPLES, OVERDUE, Finding
from parent.store import clock

__all__ = ["notifications"]

LONG = timedelta(hours=1)
LATELY = timedelta(days=1)


def notifications() -> Iterator[Finding]:
    now = clock.now()
    for stopped in StoppedWebhook.objects.order_by("-stopped_at")[:EXAMPLES]:
        yield _finding(
            f"nothing is sent to {stopped.url}, which has answered 410 Gone",
            "Remove the rule; or repair the receiver, and delete the URL under Stopped webhooks in "
            "the admin.",
        )
    if number := outbox.waiting().filter(due_at__lt=now - OVERDUE).count():
        yield _finding(
            f"{number} notifications are due and nobody sends them",
            "Is a worker alive, and does it watch? See its log.",
        )
    late = outbox.waiting().filter(created_at__lt=now - LONG, attempts__gt=0)
    for row in late.order_by("created_at")[:EXAMPLES]:
        yield _finding(
            f"{row} waits since {row.created_at:%Y-%m-%d %H:%M}, after {row.attempts} tries: "
            f"{row.error or 'the last one did not end'}",
            "Repair the receiver; it is tried for a day. Deliveries in the admin have the log.",
        )
    given_up = Delivery.objects.filter(state=DeliveryState.FAILED, ended_at__gt=now - LATELY)
    if number := given_up.count():
        yield _finding(
            f"{number} notifications were given up in the last day",
            "Repair the receivers, then replay them: Deliveries in the admin.",
        )
    mails = NotificationRule.objects.filter(enabled=True, kind=NotificationKind.EMAIL)
    to = {each for recipients in mails.values_list("to", flat=True) for each in recipients}
    for problem, hint in email_settings_problems(to):
        yield _finding(problem, hint)


def _finding(what: str, do: str) -> Finding:
    return Finding(part="notifications", what=what, do=do)
