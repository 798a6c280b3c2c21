"""E-mails, taken by a real SMTP server."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User

from parent import Email, Workflow
from parent.models import Delivery, Run
from parent.notifications import outbox
from tests.notifications.conftest import Mails, deliver, end, make_due

pytestmark = pytest.mark.django_db

Told = Callable[..., Workflow]
ERROR = "Error in noop: <b>1 & 2</b> ü"


def bodies(message: Any) -> tuple[str, str]:
    return tuple(message.get_body([kind]).get_content() for kind in ("plain", "html"))


def test_it_has_the_error_and_a_link_as_text_and_as_html(told: Told, mails: Mails) -> None:
    run = end(told(Email(on="failed", to="admins")).start(), ERROR)

    deliver()

    [message] = mails.all()
    assert message["Subject"] == "Tell them has failed"
    assert message["From"] == "flows@example.com"
    assert message["X-Envelope-To"] == "ops@example.com, lead@example.com"
    text, html = bodies(message)
    link = f"https://flows.example.com/runs/{run.pk}/"
    assert ERROR in text
    assert link in text
    assert "Error in noop: &lt;b&gt;1 &amp; 2&lt;/b&gt; ü" in html
    assert f'<a href="{link}">' in html
    assert Delivery.objects.get().state == "delivered"


def test_mails_about_one_run_are_one_thread(told: Told, mails: Mails) -> None:
    end(told(Email(on=["started", "succeeded"], to="a@example.com")).start())

    deliver()

    first, second = mails.all()
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]
    assert {first["Subject"], second["Subject"]} == {"Tell them has started", "Tell them is done"}


def test_recipients_are_looked_up_when_it_is_sent_each_once(
    told: Told, mails: Mails, settings: LazySettings
) -> None:
    owner = User.objects.create(username="ada", email="old@example.com")
    rule = Email(on="succeeded", to=["owner", "admins", "a@example.com", "ops@example.com"])
    end(told(rule).start(owner))
    owner.email = "ada@example.com"
    owner.save()
    settings.ADMINS = ["ops@example.com"]  # as Django 6.0 has them

    deliver()

    [message] = mails.all()
    assert message["X-Envelope-To"] == "ada@example.com, ops@example.com, a@example.com"


@pytest.mark.parametrize("email", [None, ""])
def test_an_owner_without_an_address_gets_none(told: Told, mails: Mails, email: str | None) -> None:
    owner = None if email is None else User.objects.create(username="ada", email=email)
    end(told(Email(on="succeeded", to="owner")).start(owner))

    deliver()

    assert mails.taken.empty()
    assert [row.state for row in Delivery.objects.all()] == ([] if email is None else ["dropped"])


@pytest.mark.parametrize("answer", ["451 later", "550 never"])
def test_what_the_server_refuses_is_tried_again(told: Told, mails: Mails, answer: str) -> None:
    end(told(Email(on="succeeded", to="a@example.com")).start())
    mails.refuses = answer

    deliver()

    row = Delivery.objects.get()
    assert row.state == "waiting"
    assert answer.split()[1] in row.error
    mails.refuses = ""
    make_due()
    deliver()
    [message] = mails.all()
    assert row.message_id in message["Message-ID"]
    assert not outbox.waiting().exists()


def test_a_server_that_is_away_is_tried_again(
    told: Told, mails: Mails, settings: LazySettings
) -> None:
    settings.EMAIL_PORT = 1
    end(told(Email(on="succeeded", to="a@example.com")).start())

    deliver()

    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("waiting", 1)
    assert "refused" in row.error


class Broken:
    """A mail backend of the project that raises anything."""

    error: BaseException = LookupError("no such backend key")

    def __init__(self, **options: Any) -> None: ...

    def send_messages(self, *_: Any) -> int:
        raise self.error


@pytest.mark.parametrize("kind", [LookupError, SystemExit, GeneratorExit])
def test_a_backend_that_raises_anything_is_tried_again(
    told: Told, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    monkeypatch.setattr(Broken, "error", kind("no such backend key"))
    settings.EMAIL_BACKEND = f"{__name__}.Broken"
    end(told(Email(on="succeeded", to="a@example.com")).start())

    deliver()

    assert "no such backend key" in Delivery.objects.get().error


@pytest.mark.parametrize("kind", [0, 1], ids=["text", "html"])
def test_its_times_are_those_of_people(
    told: Told, mails: Mails, settings: LazySettings, kind: int
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    run = told(Email(on=["started", "succeeded"], to="a@example.com")).start()
    Run.objects.filter(pk=run.pk).update(started_at=datetime(2026, 3, 1, 22, 30, 5, tzinfo=UTC))
    end(run)

    deliver()

    by_subject = {each["Subject"]: bodies(each)[kind] for each in mails.all()}
    assert "2 Mar 2026, 07:30:05 JST" in by_subject["Tell them is done"]
    assert "Ended" in by_subject["Tell them is done"]
    # It has begun to exist: "not yet" and the name of a step would contradict that.
    begun = by_subject["Tell them has started"].partition("<h1>")[-1 if kind else 0]
    assert not re.search(r"not yet|Ended|Message|noop", begun)
    assert not re.search(r"\d\dT\d\d:", "".join(by_subject.values()))


def test_it_is_in_the_language_of_the_project(
    told: Told, mails: Mails, settings: LazySettings
) -> None:
    settings.LANGUAGE_CODE = "de"
    run = end(told(Email(on="failed", to="a@example.com")).start(), ERROR)

    deliver()

    [message] = mails.all()
    assert message["Subject"] == "Tell them ist fehlgeschlagen"
    text, html = bodies(message)
    assert f"Lauf: {run.pk}" in text
    assert '<html lang="de">' in html
    assert "Den Lauf ansehen" in html
