"""What the author of a workflow declares: who is told of which changes."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

__all__ = ["ADMINS", "OCCASIONS", "OWNER", "Email", "Webhook", "as_words"]

OCCASIONS = (
    *("started", "succeeded", "failed", "recovered", "cancelled"),
    *("approval_requested", "schedule_missed"),
)
"""What a rule can be about.

A success is `recovered` if a failure came before it: this run's own, before a retry, or else that
of the workflow's run that ended before it. A rule that names both `recovered` and `succeeded` makes
one notification of it, about `recovered`. `approval_requested`: an approval begins to wait.
`schedule_missed`: a time of a schedule has started no run.
"""

ADMINS, OWNER = "admins", "owner"
"""Recipients that are looked up when an e-mail is sent: those in `ADMINS`, and the run's owner."""


@dataclass(frozen=True, kw_only=True)
class Email:
    """Sends an e-mail with the run's error and a link to the run.

    One about `approval_requested` goes to each recipient alone: a recipient who is a user that may
    decide gets a link that decides without a login.

    Args:
        on: one or more of `OCCASIONS`.
        to: one or more of "admins", "owner" and e-mail addresses.
    """

    on: str | Sequence[str] = "failed"
    to: str | Sequence[str] = ADMINS


@dataclass(frozen=True)
class Webhook:
    """Posts JSON to a URL, signed by Standard Webhooks 1.0.

    Args:
        url: with https, at an address outside the network; `WORKFLOW_WEBHOOK_ALLOW_PRIVATE` also
            allows plain http and other addresses.
        secret: `whsec_` and 24 to 64 bytes in base64. Of several each one signs: while receivers
            change to a new secret, give the new and the old one.
        on: one or more of `OCCASIONS`.
    """

    url: str
    _: KW_ONLY
    secret: str | Sequence[str] = field(repr=False)
    on: str | Sequence[str] = ("succeeded", "failed", "cancelled")


def as_words(value: str | Sequence[str]) -> tuple[str, ...]:
    """One word or several, as several."""
    return (value,) if isinstance(value, str) else tuple(value)
