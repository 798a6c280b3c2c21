"""Settings of e-mail, and of what notifications say and where they may go."""

import warnings
from contextlib import suppress
from typing import Any

import django
import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from mainproj.environment import env
from mainproj.security import PLAIN_HTTP
from parent.conf import INTERVALS
from parent.setting_values import LONGEST_WAIT

SMTP = "django.core.mail.backends.smtp.EmailBackend"
BACKENDS = (SMTP, "django.core.mail.backends.console.EmailBackend")


def _server(url: str) -> dict[str, Any]:
    """Django's settings of the mail server."""
    found: dict[str, Any] = {}
    # Of a URL that it does not understand, django-environ returns a part. The ValueError of urllib
    # may quote the password.
    with (
        warnings.catch_warnings(action="ignore"),
        suppress(ValueError, KeyError, ImproperlyConfigured),
    ):
        found = environ.Env.email_url_config(url)
    if found.get("EMAIL_BACKEND") not in BACKENDS or (
        found["EMAIL_BACKEND"] == SMTP and not found.get("EMAIL_HOST")
    ):
        raise ValueError("it is not a URL of a mail server")
    return found


def _addresses(text: str) -> list[Any]:
    """The form that this release of Django wants: before 6.0 pairs of a name and an address."""
    found = [_address(word.strip()) for word in text.split(",") if word.strip()]
    return found if django.VERSION >= (6, 0) else [("", each) for each in found]


def _address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(f"{text} is not an e-mail address") from None
    return text


_mail = env.read(
    "EMAIL_URL",
    environ.Env.email_url_config("consolemail://" if PLAIN_HTTP else "smtp://localhost:25"),
    "the mail server; `smtps` or `smtp+tls` encrypts",
    _server,
    kind="URL",
    example="smtp+tls://user:password@mail.example.com:587",
    unset="port 25 of this machine; the log with `LOCAL` or `DEBUG`",
    secret=True,
)
EMAIL_BACKEND: str = _mail["EMAIL_BACKEND"]
EMAIL_HOST: str = _mail.get("EMAIL_HOST") or "localhost"
EMAIL_PORT: int = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER: str = _mail.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD: str = _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS: bool = bool(_mail.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL: bool = bool(_mail.get("EMAIL_USE_SSL"))
DEFAULT_FROM_EMAIL = env.read(
    "DEFAULT_FROM_EMAIL",
    "webmaster@localhost",
    "the sender of e-mails",
    _address,
    kind="e-mail address",
    example="flows@example.com",
)
ADMINS: list[Any] = env.read(
    "ADMINS",
    [],
    "who is told of failed runs, where a rule says `admins`",
    _addresses,
    kind="e-mail addresses",
    example="ops@example.com,lead@example.com",
    unset="none",
)


def _run_url(text: str) -> str:
    if not text.startswith(("https://", "http://")) or "{id}" not in text:
        raise ValueError("it is not a URL with {id} in it")
    return text


WORKFLOW_RUN_URL = env.read(
    "WORKFLOW_RUN_URL",
    "",
    "the page of a run as people reach it, for notifications; `{id}` is the run's id",
    _run_url,
    kind="URL with `{id}`",
    example="https://flows.example.com/runs/{id}/",
    unset="none: notifications have no link",
)
WORKFLOW_NOTIFICATION_TIMEOUT = EMAIL_TIMEOUT = env.seconds(
    "WORKFLOW_NOTIFICATION_TIMEOUT",
    INTERVALS["WORKFLOW_NOTIFICATION_TIMEOUT"],
    "until a webhook or a mail server that does not answer is tried again later",
    zero="",
    at_most=LONGEST_WAIT,
)
WORKFLOW_WEBHOOK_ALLOW_PRIVATE = env.flag(
    "WORKFLOW_WEBHOOK_ALLOW_PRIVATE",
    False,
    "webhooks may go to addresses inside the network, and over plain http",
)
