"""The trends of a workflow in a browser: charts, and the numbers behind them."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import MakeRun, SignIn
from tests.browser.looks import look_at

FindViolations = Callable[[Page], list[str]]


def test_charts_with_their_numbers(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun, find_violations: FindViolations
) -> None:
    now = timezone.now()
    for number in range(40):
        made = now - timedelta(days=number % 25, hours=1)
        ended = made + timedelta(seconds=20 + 7 * (number % 6))
        state = "FAILURE" if number % 7 == 0 else "REVOKED" if number % 11 == 0 else "SUCCESS"
        make_run(owner, state=state, created_at=made, started_at=made, finished_at=ended)
    sign_in(tab.context)
    tab.goto("/start/main_flow/")
    tab.get_by_role("link", name="Trends").click()

    expect(tab.get_by_role("heading", name="Trends of main_flow")).to_be_visible()
    tab.get_by_text("The numbers").first.click()
    expect(tab.get_by_role("row")).to_have_count(1 + 25)
    look_at(tab, find_violations, "trends")
    for chart in tab.locator(".chart svg").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 200
    tab.get_by_role("link", name="Show these runs").click()
    tab.wait_for_url("**/runs/?workflow=main_flow")
