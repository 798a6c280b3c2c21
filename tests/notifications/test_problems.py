"""What checks say of a rule that cannot be used, and of settings that lack something."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings

from parent import Email, Webhook, Workflow
from parent.checks import check_workflows
from parent.project_checks import check_project
from tests.notifications.conftest import SECRET, Mails

Told = Callable[..., Workflow]
URL = "https://partner.example.com/hook"

WRONG: list[tuple[str, Any, str]] = [
    ("on nothing it knows", Email(on="broken"), "'broken' is not an occasion of notify"),
    ("on several", Email(on=["failed", "ended"]), "'ended' is not an occasion"),
    ("on nothing", Email(on=[]), "nothing in `on`"),
    ("on a number", Email(on=3), "wrong type"),  # type: ignore[arg-type]
    ("owner of a schedule", Email(on=["schedule_missed"], to="owner"), "a schedule has none"),
    ("to nobody", Email(to=[]), "no recipient"),
    ("no address", Email(to="ops"), "'ops' is not an e-mail address"),
    ("one of two", Email(to=["a@example.com", "a@"]), "'a@' is not an e-mail address"),
    ("no text", Email(to=[3]), "3 is not an e-mail address"),  # type: ignore[list-item]
    ("line break", Email(to="a@example.com\nBcc: b@example.com"), "not an e-mail address"),
    ("no rule", "failed", "'failed' is not a rule"),
    ("a class", Email, "is not a rule"),
    ("http", Webhook("http://partner.example.com/", secret=SECRET), "not https"),
    ("file", Webhook("file:///etc/passwd", secret=SECRET), "not https"),
    ("no scheme", Webhook("partner.example.com/x", secret=SECRET), "not https"),
    ("empty", Webhook("", secret=SECRET), "not https"),
    ("no host", Webhook("https:///x", secret=SECRET), "names no host"),
    ("bracket", Webhook("https://[", secret=SECRET), "not a URL"),
    ("port", Webhook("https://a.example.com:99999/", secret=SECRET), "not a URL"),
    ("port 0", Webhook("https://a.example.com:0/", secret=SECRET), "names no host"),
    ("space", Webhook("https://a.example.com/a b", secret=SECRET), "not a URL"),
    ("line", Webhook("https://a.example.com/\r\nx: y", secret=SECRET), "not a URL"),
    ("not ascii", Webhook("https://ä.example.com/", secret=SECRET), "not a URL"),
    ("user", Webhook("https://me:pass@a.example.com/", secret=SECRET), "a user or a fragment"),
    ("fragment", Webhook(f"{URL}#x", secret=SECRET), "a user or a fragment"),
    ("loopback", Webhook("https://127.0.0.1/", secret=SECRET), "inside the network"),
    ("mapped", Webhook("https://[::ffff:10.0.0.1]/", secret=SECRET), "inside the network"),
    ("name", Webhook("https://localhost:8/", secret=SECRET), "inside the network"),
    ("no secret", Webhook(URL, secret=""), "has no secret"),
    ("none", Webhook(URL, secret=[]), "has no secret"),
    ("None", Webhook(URL, secret=None), "wrong type"),  # type: ignore[arg-type]
    ("short", Webhook(URL, secret="whsec_QUFB"), "has no secret"),
    ("one of two", Webhook(URL, secret=[SECRET, "x"]), "has no secret"),
    ("webhook on", Webhook(URL, secret=SECRET, on="fail"), "'fail' is not an occasion of notify"),
]


@pytest.mark.parametrize(
    ("rule", "text"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
def test_a_rule_that_cannot_be_used_is_an_error(told: Told, rule: Any, text: str) -> None:
    told(rule)

    [found] = check_workflows()

    assert found.id == "workflows.E019"
    assert text in found.msg
    assert found.hint
    assert SECRET not in str(found)


def test_rules_that_are_no_list_are_an_error(told: Told) -> None:
    object.__setattr__(told(), "notify", Email())

    [found] = check_workflows()

    assert found.msg == "Workflow 'told': notify is not a list."


def test_rules_that_can_be_used_are_no_problem(told: Told, mails: Mails) -> None:
    told(
        Email(),
        Email(on=["recovered", "failed"], to=["owner", "a@example.com"]),
        Email(on=["approval_requested", "schedule_missed"], to=["owner", "a@example.com"]),
        Webhook(URL, secret=SECRET),
        Webhook("https://8.8.8.8:8443/x?y=%C3%A4", secret=[SECRET, SECRET], on="started"),
    )

    assert [str(found) for found in check_workflows() if "127.0.0.1" not in found.msg] == []


def test_a_setting_allows_webhooks_inside(told: Told, settings: LazySettings) -> None:
    settings.WORKFLOW_WEBHOOK_ALLOW_PRIVATE = True
    told(Webhook("http://localhost:8000/", secret=SECRET))

    assert check_workflows() == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"EMAIL_HOST": "localhost"}, "EMAIL_HOST is not set"),
        ({"DEFAULT_FROM_EMAIL": "webmaster@localhost"}, "webmaster@localhost"),
        ({"ADMINS": []}, "ADMINS is empty"),
        ({"WORKFLOW_RUN_URL": ""}, "no link"),
    ],
)
def test_settings_that_e_mail_needs_are_warned_of_where_it_is_used(
    told: Told, mails: Mails, settings: LazySettings, values: dict[str, Any], text: str
) -> None:
    told(name="plain")
    for name, value in values.items():
        setattr(settings, name, value)
    assert check_workflows() == []
    told(Email())

    [found] = check_workflows()

    assert (found.id, found.level) == ("workflows.W001", 30)
    assert text in found.msg
    assert found.hint


@pytest.mark.parametrize("url", ["https://flows.example.com/", "flows/{id}/", 5])
def test_a_run_url_without_an_id_is_an_error(settings: LazySettings, url: Any) -> None:
    settings.WORKFLOW_RUN_URL = url

    assert "parent.E006" in [found.id for found in check_project()]
