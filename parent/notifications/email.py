"""Sending one e-mail about a run or a schedule, as text and as HTML."""

import json
from collections.abc import Sequence
from datetime import datetime
from smtplib import SMTPException
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from children.sanitize import clean_text
from parent.definition.notify import ADMINS, OWNER
from parent.models import Delivery, Schedule, Step
from parent.notifications.announce import is_asked
from parent.notifications.next_try import Outcome
from parent.notifications.rule_problems import admin_addresses

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["Decided", "Pages", "install_pages", "message_for", "recipients_of", "send"]


class Pages(Protocol):
    """The addresses of pages that a mail may have. `monitor` installs them."""

    def decision(self, step: Step, user: "User") -> str | None:
        """The address of the page where this user decides without a login.

        None if the user may not decide, or if the address is unknown.
        """

    def schedule(self, schedule: Schedule) -> str | None:
        """The address of the schedule's page; None if it is unknown."""


_pages: Pages | None = None


def install_pages(pages: Pages) -> None:
    """Let mails have the addresses of these pages."""
    global _pages  # noqa: PLW0603 - one set of pages per process
    _pages = pages


class Decided(Exception):
    """The approval does not wait any more for the decision that was asked for."""


SAYS = {
    "started": _("{name} has started"),
    "succeeded": _("{name} is done"),
    "failed": _("{name} has failed"),
    "recovered": _("{name} works again"),
    "cancelled": _("{name} was cancelled"),
    "approval_requested": _("{name} waits for a decision"),
    "schedule_missed": _("{name} was not started"),
}

TIMES = ("started_at", "finished_at", "nominal_at", "until")
"""Names of times in the JSON of a notification."""
TIME = "j M Y, H:i:s T"


def recipients_of(delivery: Delivery) -> list[str]:
    """The addresses, each once. A recipient without an address is left out."""
    found: list[str] = []
    owner = delivery.run.owner if delivery.run is not None else None
    for each in delivery.target.split(", "):
        if each == ADMINS:
            found += admin_addresses()
        elif each == OWNER:
            found.append(getattr(owner, owner.get_email_field_name(), "") if owner else "")
        else:
            found.append(each)
    return [*dict.fromkeys(filter(None, found))]


def message_for(delivery: Delivery, recipients: Sequence[str]) -> EmailMultiAlternatives:
    """The e-mail. Those about one run, or one schedule, have one thread in a mail program.

    Raises:
        Decided: it asks for a decision that nobody needs any more.
    """
    data = json.loads(delivery.body)["data"]
    # Whoever gets it may be anybody: it is in the project's language.
    with translation.override(settings.LANGUAGE_CODE):
        return _message(delivery, data, recipients)


def _message(
    delivery: Delivery, data: dict[str, Any], recipients: Sequence[str]
) -> EmailMultiAlternatives:
    says = str(SAYS.get(delivery.occasion, delivery.occasion)).format(name=_name(data))
    page, decide = data.get("url"), None
    if "approval" in data:
        decide = _link_to_decide(delivery, data["approval"], recipients)
    if delivery.schedule is not None and _pages is not None:
        page = _pages.schedule(delivery.schedule)
    context = {
        "run": _with_times(data),
        "says": says,
        "page_url": page,
        "decide_url": decide,
        "language": translation.get_language(),
    }
    thread = f"run-{data['id']}" if "id" in data else f"schedule-{data['schedule_id']}"
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
    message = EmailMultiAlternatives(
        subject=clean_text(says),
        body=render_to_string("parent/notification.txt", context),
        to=[*recipients],
        headers={
            # The same for each try, so that a mail program shows one that comes twice as one.
            "Message-ID": f"<{delivery.message_id}@{domain}>",
            "References": f"<{thread}@{domain}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(render_to_string("parent/notification.html", context), "text/html")
    return message


def _with_times(data: dict[str, Any]) -> dict[str, Any]:
    """The same with its times as people write them, in the project's time zone."""
    shown = dict(data)
    for name, value in data.items():
        if isinstance(value, dict):
            shown[name] = _with_times(value)
        elif name in TIMES and value:
            shown[name] = date_format(localtime(datetime.fromisoformat(value)), TIME)
    return shown


def _name(data: dict[str, Any]) -> str:
    title: str = data["title"]
    return f"{title}: {data['approval']['title']}" if "approval" in data else title


def _link_to_decide(
    delivery: Delivery, asked: dict[str, Any], recipients: Sequence[str]
) -> str | None:
    """The page where the recipient may decide without a login; None if they have none.

    Raises:
        Decided: there is nothing to decide any more.
    """
    found = Step.objects.select_related("run", "run__owner")
    found = found.defer("result", "checkpoint", "kwargs", "run__params", "run__result")
    step = found.filter(run=delivery.run_id, task_id=asked["task_id"]).first()
    if step is None or not is_asked(step):
        raise Decided(f"{asked['name']} does not wait for a decision any more")
    user = _user_of(delivery, recipients)
    return _pages.decision(step, user) if _pages is not None and user is not None else None


def _user_of(delivery: Delivery, recipients: Sequence[str]) -> "User | None":
    """The user who gets the mail; None unless it is exactly one: two may have the same address."""
    if delivery.target == OWNER:
        return delivery.run.owner if delivery.run is not None else None
    model: Any = get_user_model()
    field = model.get_email_field_name()
    if len(recipients) != 1 or not any(each.name == field for each in model._meta.get_fields()):
        return None
    users = list(model._default_manager.filter(**{field: recipients[0], "is_active": True})[:2])
    return users[0] if len(users) == 1 else None


def send(message: EmailMultiAlternatives, *, timeout: float) -> Outcome:
    """Send it by the project's e-mail backend. A backend raises errors of its own."""
    try:
        connection: Any = get_connection()
        if getattr(connection, "timeout", 0) is None:
            connection.timeout = timeout
        message.connection = connection
        if message.send() == 0:
            return Outcome(error="the e-mail backend did not send it")
    except (OSError, SMTPException) as exc:
        return Outcome(error=clean_text(f"{type(exc).__name__}: {exc}"))
    return Outcome()
