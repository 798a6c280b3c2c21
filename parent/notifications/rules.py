"""The rules of a workflow, from its code and from rows, in one form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery.utils.log import get_logger
from urllib3.util import parse_url

from parent.definition.notify import OWNER, Email, Webhook, as_words
from parent.definition.workflow import registry
from parent.models import Delivery, NotificationKind, NotificationRule

__all__ = ["STORED_RULES", "Rule", "in_code", "rotate", "secrets_for", "stored"]
from parent.notifications.signing import new_secret
from parent.store import clock

logger = get_logger(__name__)

STORED_RULES = (
    "EXISTS (SELECT 1 FROM parent_notificationrule WHERE enabled AND workflow IN ('', %s))"
)
"""SQL: whether there are rows for a workflow. It is asked with a statement that is sent anyway."""

EMAIL_LANE = "email"
OVERLAP = timedelta(days=1)
"""How long the secret before also signs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Who is told of which occasions. `row`: the key of the rule's row, if it is not in code."""

    kind: str
    on: Sequence[str]
    target: str
    lane: str
    row: int | None = None

    @property
    def recipients(self) -> list[str]:
        """Of an e-mail: "admins", "owner" and addresses."""
        return self.target.split(", ")

    @property
    def for_owner_only(self) -> bool:
        return self.kind == NotificationKind.EMAIL and self.target == OWNER


def in_code(workflow: str) -> list[Rule]:
    """The rules in the workflow's code, without those that cannot be used: checks report them.

    Raises:
        UnknownWorkflow: this process does not have the code.
    """
    return _usable(workflow, registry.get(workflow).notify)


def stored(workflow: str) -> list[Rule]:
    """The rules for the workflow that are rows, without those that cannot be used."""
    rows = NotificationRule.objects.filter(enabled=True, workflow__in=("", workflow))
    return _usable(workflow, rows.order_by("pk"))


def _usable(workflow: str, rules: Iterable[Email | Webhook | NotificationRule]) -> list[Rule]:
    found = []
    for rule in rules:
        try:
            found.append(_rule(rule))
        except Exception:  # it must not keep a run from ending
            logger.exception("a notification rule of %s cannot be used", workflow)
    return found


def _rule(rule: Email | Webhook | NotificationRule) -> Rule:
    match rule:
        case Webhook():
            return _webhook(rule.url, as_words(rule.on), None)
        case NotificationRule(kind=NotificationKind.WEBHOOK):
            return _webhook(rule.url, tuple(rule.on), rule.pk)
    row = rule.pk if isinstance(rule, NotificationRule) else None
    return _email(as_words(rule.to), as_words(rule.on), row)


def _webhook(url: str, on: Sequence[str], row: int | None) -> Rule:
    parts = parse_url(url)
    lane = f"{parts.host}:{parts.port or parts.scheme}"
    return Rule(kind=NotificationKind.WEBHOOK, on=on, target=url, lane=lane[:300], row=row)


def _email(to: Sequence[str], on: Sequence[str], row: int | None) -> Rule:
    kind, target = NotificationKind.EMAIL, ", ".join(to)
    return Rule(kind=kind, on=on, target=target, lane=EMAIL_LANE, row=row)


def secrets_for(delivery: Delivery, now: datetime) -> list[str] | None:
    """The secrets that sign this webhook now; None if there is no such rule any more.

    Raises:
        UnknownWorkflow: the rule is in code that this process does not have.
    """
    if delivery.in_code:
        return _secrets_in_code(delivery.workflow, delivery.target)
    row = delivery.rule
    if row is None:
        return None
    old = row.old_secret_until is not None and now < row.old_secret_until
    return [row.secret, *([row.old_secret] if old else [])]


def _secrets_in_code(workflow: str, url: str) -> list[str] | None:
    for rule in registry.get(workflow).notify:
        if isinstance(rule, Webhook) and rule.url == url:
            return [*as_words(rule.secret)]
    return None


def rotate(row: NotificationRule) -> str:
    """Give the rule a new secret, and return it. The one before also signs for one more day."""
    if row.secret:
        row.old_secret, row.old_secret_until = row.secret, clock.now() + OVERLAP
    row.secret = new_secret()
    row.save(update_fields=["secret", "old_secret", "old_secret_until"])
    return row.secret
