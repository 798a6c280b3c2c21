"""Sending one e-mail about a run, as text and as HTML."""

import json
from collections.abc import Sequence
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

from children.sanitize import clean_text
from parent.definition.notify import ADMINS, OWNER
from parent.models import Delivery
from parent.notifications.pace import Outcome
from parent.notifications.rule_problems import admin_addresses

__all__ = ["message_for", "recipients_of", "send"]

SAYS = {
    "started": "has started",
    "succeeded": "is done",
    "failed": "has failed",
    "recovered": "works again",
    "cancelled": "was cancelled",
}


def recipients_of(delivery: Delivery) -> list[str]:
    """The addresses, each once. A recipient without an address is left out."""
    found: list[str] = []
    for each in delivery.target.split(", "):
        if each == ADMINS:
            found += admin_addresses()
        elif each == OWNER:
            owner = delivery.run.owner
            found.append(getattr(owner, owner.get_email_field_name(), "") if owner else "")
        else:
            found.append(each)
    return [*dict.fromkeys(filter(None, found))]


def message_for(delivery: Delivery, recipients: Sequence[str]) -> EmailMultiAlternatives:
    """The e-mail. Those about one run have one thread in a mail program."""
    data = json.loads(delivery.body)["data"]
    says = SAYS.get(delivery.occasion, delivery.occasion)
    context = {"run": data, "says": says, "occasion": delivery.occasion}
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
    message = EmailMultiAlternatives(
        subject=clean_text(f"{data['title']} {says}"),
        body=render_to_string("parent/notification.txt", context),
        to=[*recipients],
        headers={
            # The same for each try, so that a mail program shows one that comes twice as one.
            "Message-ID": f"<{delivery.message_id}@{domain}>",
            "References": f"<run-{data['id']}@{domain}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(render_to_string("parent/notification.html", context), "text/html")
    return message


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
