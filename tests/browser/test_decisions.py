"""Deciding an approval in a browser: what waits, the form, and the signed link."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from rest_framework import serializers

from monitor.runs.approvals import decision_path
from parent import Approval, Step, Workflow
from parent.models import ReceivedSignal, Run
from parent.runs.start import start
from tests.browser.conftest import SignIn
from tests.flows import tasks

pytestmark = pytest.mark.usefixtures("own_registry")

FindViolations = Callable[[Page], list[str]]
SHOTS = os.environ.get("SCREENSHOTS", "")
"""A folder for screenshots; none are taken without one."""


class Prices(serializers.Serializer[Any]):
    price = serializers.IntegerField(min_value=1, label="The price", help_text="In cents.")
    note = serializers.CharField(required=False)


@pytest.fixture
def asked(owner: User, own_registry: None) -> Run:
    steps = [
        Approval("release", title="Release the orders", form=Prices, timeout=86_400),
        Step(tasks.noop, name="publish", title="Publish", inputs=lambda _: {}),
    ]
    return start(Workflow("orders", title="Import orders", steps=steps), {}, owner=owner)


@pytest.fixture
def signed_in(tab: Page, sign_in: SignIn) -> Page:
    sign_in(tab.context)
    return tab


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def test_from_the_navigation_to_the_decision(
    signed_in: Page, asked: Run, find_violations: FindViolations
) -> None:
    signed_in.goto("/")
    signed_in.get_by_role("link", name="Waiting for you").click()
    expect(signed_in.get_by_role("heading", name="Release the orders")).to_be_visible()
    assert find_violations(signed_in) == []
    shoot(signed_in, "waiting")

    signed_in.get_by_role("link", name="Decide Release the orders").click()
    assert find_violations(signed_in) == []
    shoot(signed_in, "decide")
    signed_in.get_by_label("The price").fill("3")
    signed_in.get_by_label("Comment").fill("all fine")
    signed_in.get_by_role("button", name="Approve").click()

    signed_in.wait_for_url(f"**/runs/{asked.pk}/")
    came = ReceivedSignal.objects.get(run=asked)
    assert came.values == {
        "decision": "approve",
        "comment": "all fine",
        "values": {"price": 3},
    }
    expect(signed_in.get_by_text("approve by ann")).to_be_visible()
    shoot(signed_in, "approved")


def test_the_page_of_a_run_says_what_it_waits_for_and_leads_there(
    signed_in: Page, asked: Run, find_violations: FindViolations
) -> None:
    signed_in.goto(f"/runs/{asked.pk}/")
    expect(signed_in.get_by_role("progressbar", name="Import orders", exact=True)).to_be_visible()
    assert find_violations(signed_in) == []
    waits = signed_in.get_by_text("waits for an approval, for another")
    expect(waits.filter(visible=True)).to_be_visible()
    shoot(signed_in, "run")

    signed_in.get_by_role("link", name="Decide Release the orders").click()
    signed_in.get_by_label("Comment").fill("too dear")
    signed_in.get_by_role("button", name="Reject").click()  # without the form's own fields

    signed_in.wait_for_url(f"**/runs/{asked.pk}/")
    said = signed_in.get_by_text("Release the orders was rejected by ann: too dear")
    expect(said.filter(visible=True).first).to_be_visible()
    shoot(signed_in, "rejected")


def test_a_wrong_form_says_what_is_wrong(
    signed_in: Page, asked: Run, find_violations: FindViolations
) -> None:
    signed_in.goto(f"/runs/{asked.pk}/decide/release/")
    signed_in.locator("form").evaluate_all("forms => forms.forEach(f => f.noValidate = true)")
    signed_in.get_by_role("button", name="Approve").click()

    expect(signed_in.get_by_role("alert").get_by_text("Not decided")).to_be_visible()
    expect(signed_in.get_by_role("link", name="The price")).to_be_visible()
    assert find_violations(signed_in) == []
    shoot(signed_in, "errors")


def test_a_link_of_a_mail_decides_without_a_login(
    tab: Page, asked: Run, owner: User, find_violations: FindViolations
) -> None:
    step = asked.steps.select_related("run").get(name="release")
    tab.goto(decision_path(step, owner))
    assert not ReceivedSignal.objects.exists()
    assert find_violations(tab) == []
    shoot(tab, "link")

    tab.get_by_role("button", name="Reject").click()

    expect(tab.get_by_role("status")).to_contain_text("It was rejected by ann")
    assert find_violations(tab) == []
    shoot(tab, "link-decided")
