"""What is wrong with a rule, in code or from a form."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from parent.conf import private_webhooks, run_url
from parent.definition.notify import ADMINS, OCCASIONS, OWNER, Email, Webhook, as_words
from parent.notifications.addresses import is_public
from parent.notifications.signing import is_secret
from parent.setting_names import in_project

__all__ = [
    "admin_addresses",
    "email_settings_problems",
    "occasion_problems",
    "owner_problems",
    "problems",
    "recipient_problems",
    "url_problems",
]

Problems = Iterator[tuple[str, str]]
"""What is wrong, and what to do."""

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def problems(rule: object) -> Problems:
    """What keeps a rule in code from being used."""
    if not isinstance(rule, Email | Webhook):
        yield f"{rule!r} is not a rule of notify", "Write Email(...) or Webhook(...)."
        return
    try:
        yield from occasion_problems(as_words(rule.on))
        if isinstance(rule, Email):
            yield from recipient_problems(as_words(rule.to))
            yield from owner_problems(as_words(rule.on), as_words(rule.to))
            return
        yield from url_problems(rule.url)
        signing = as_words(rule.secret)
    except TypeError:
        yield f"{rule!r} has values of the wrong type", "Write texts, or lists of texts."
        return
    if not signing or not all(map(is_secret, signing)):
        yield (
            f"the webhook to {rule.url} has no secret to sign with",
            "Give secret= a text of whsec_ and 24 to 64 bytes in base64, from the environment: "
            'echo "whsec_$(openssl rand -base64 32)"',
        )


def occasion_problems(on: Sequence[object]) -> Problems:
    if not on:
        yield "a rule of notify has nothing in `on`", f"Choose from: {', '.join(OCCASIONS)}."
    for each in on:
        if each not in OCCASIONS:
            yield (
                f"{each!r} is not an occasion of notify",
                (f"Choose from: {', '.join(OCCASIONS)}."),
            )


def recipient_problems(to: Sequence[object]) -> Problems:
    hint = f'Write "{ADMINS}", "{OWNER}" or an address such as "ops@example.com".'
    if not to:
        yield "an e-mail of notify has no recipient", hint
    for each in to:
        if each in (ADMINS, OWNER):
            continue
        try:
            validate_email(each if isinstance(each, str) else None)
        except ValidationError:
            yield f"{each!r} is not an e-mail address", hint


def owner_problems(on: Sequence[object], to: Sequence[object]) -> Problems:
    """What keeps a rule about schedules from reaching anybody: they have no owner."""
    if "schedule_missed" in on and [*to] == [OWNER]:
        yield (
            "an e-mail about schedule_missed goes to the owner, and a schedule has none",
            f'Give another recipient: "{ADMINS}", or an address.',
        )


def url_problems(url: object) -> Problems:
    """What keeps a webhook from being sent to `url`. No name is resolved."""
    hint = "Write it as https://host/path, with the port if it is not 443."
    schemes = ("https", "http") if private_webhooks() else ("https",)
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        yield f"{url!r} is not a URL of a webhook", hint
        return
    try:
        parts = parse_url(url)
        port = parts.port
    except LocationParseError:
        yield f"{url!r} is not a URL of a webhook", hint
        return
    if parts.scheme not in schemes:
        yield (
            f"the webhook's URL {url!r} is not https",
            f"{hint} WORKFLOW_WEBHOOK_ALLOW_PRIVATE also allows http.",
        )
        return
    if not parts.host or port == 0:
        yield f"{url!r} names no host", hint
    elif parts.auth or parts.fragment is not None:
        yield f"{url!r} has a user or a fragment, which are not sent", hint
    elif not private_webhooks() and _is_inside(parts.host):
        yield (
            f"the webhook's URL {url!r} is inside the network",
            "Use an address outside, or set WORKFLOW_WEBHOOK_ALLOW_PRIVATE.",
        )


def _is_inside(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False  # a name: it is checked when it is resolved
    return not is_public(host.strip("[]"))


def email_settings_problems(to: Iterable[str]) -> Problems:
    """What the settings lack to send e-mails to these recipients."""
    recipients = set(to)
    if not recipients:
        return
    if settings.EMAIL_BACKEND == SMTP and settings.EMAIL_HOST in ("", "localhost"):
        yield (
            "e-mails go to a mail server on this machine, for EMAIL_HOST is not set",
            f"Set {in_project('EMAIL_URL', 'EMAIL_HOST')} to your mail server.",
        )
    if settings.DEFAULT_FROM_EMAIL == "webmaster@localhost":
        yield (
            "e-mails come from webmaster@localhost, which most servers refuse",
            "Set DEFAULT_FROM_EMAIL to an address of yours.",
        )
    if ADMINS in recipients and not admin_addresses():
        yield "e-mails go to the admins, and ADMINS is empty", "Set ADMINS to their addresses."
    if not run_url():
        yield (
            "e-mails have no link to the run",
            "Set WORKFLOW_RUN_URL, such as https://flows.example.com/runs/{id}/.",
        )


def admin_addresses() -> list[str]:
    """The addresses in `ADMINS`: texts, or as before Django 6.0 pairs of a name and an address."""
    return [each if isinstance(each, str) else each[1] for each in settings.ADMINS]
