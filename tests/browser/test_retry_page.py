"""Retrying from a step, past it, or with other inputs, in a browser."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from parent.models import Event, Run
from tests.browser.conftest import SignIn, Watched, button
from tests.browser.looks import look_at
from tests.flows import workflows
from tests.monitor.runs import fail
from tests.monitor.test_retry_page import failed

__all__ = ["failed"]

FindViolations = Callable[[Page], list[str]]
FOLD = "Retry from a step, past it, or with other inputs"
RETRY_PAGE = "**/retry/"


@pytest.fixture
def opened(tab: Page, sign_in: SignIn, failed: Run) -> Page:
    sign_in(tab.context)
    tab.goto(f"/runs/{failed.pk}/")
    tab.get_by_text(FOLD).click()
    return tab


def test_other_inputs_for_a_step(
    opened: Page, failed: Run, find_violations: FindViolations
) -> None:
    inputs = opened.get_by_label("Its inputs, as JSON")
    expect(inputs).to_be_hidden()

    opened.get_by_label("with other inputs").check()
    expect(inputs).to_have_value('{\n  "a": 6,\n  "b": 1\n}')
    look_at(opened, find_violations, "retry")
    inputs.fill('{"a": 100, "b": 1}')
    opened.get_by_label("Step", exact=True).select_option("one")
    expect(inputs).to_have_value('{\n  "a": 5,\n  "b": 1\n}')
    opened.get_by_label("Step", exact=True).select_option("two")
    expect(inputs).to_have_value('{"a": 100, "b": 1}')
    opened.locator("[data-retry]").get_by_role("button", name="Retry").click()

    expect(opened.get_by_text("retry by ann")).to_be_visible()
    detail = {"from": ["two"], "inputs": {"a": 100, "b": 1}}
    assert Event.objects.get(run=failed).detail == detail


def test_the_words_stand_beside_their_marker_on_a_telephone(opened: Page) -> None:
    """Two lines, where all do not fit into one."""
    opened.set_viewport_size({"width": 360, "height": 800})
    summary = opened.locator("summary", has_text=FOLD)
    first, last = summary.evaluate("""(it) => {
      const text = document.createRange();
      text.selectNodeContents(it.firstElementChild);
      const lines = text.getBoundingClientRect(), box = it.getBoundingClientRect();
      return [lines.top - box.top, box.bottom - lines.bottom];
    }""")

    assert (first, last) == pytest.approx((0, 0), abs=4)


def test_a_mistake_is_shown_at_its_field_with_what_was_written(
    opened: Page, failed: Run, find_violations: FindViolations
) -> None:
    opened.get_by_label("Go on past it").check()
    result = opened.get_by_label("Its result, as JSON")
    result.fill("{wrong")
    opened.locator("[data-retry]").get_by_role("button", name="Retry").click()

    opened.wait_for_url(RETRY_PAGE)
    expect(opened.get_by_role("alert")).to_be_focused()
    expect(result).to_have_value("{wrong")
    expect(result).to_have_attribute("aria-invalid", "true")
    look_at(opened, find_violations, "retry-error")
    opened.get_by_role("alert").get_by_role("link").click()
    expect(result).to_be_focused()

    result.fill("50")
    button(opened, "Retry").click()
    opened.wait_for_url(f"**/runs/{failed.pk}/")
    assert Event.objects.get(run=failed).detail["result"] == 50


def test_the_form_comes_when_the_run_has_failed(tab: Page, sign_in: SignIn, owner: User) -> None:
    run = workflows.noops.start(owner=owner)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    expect(tab.get_by_text("not yet")).to_be_visible()
    assert not tab.get_by_text(FOLD).is_visible()

    fail(run, "first")

    expect(tab.get_by_text(FOLD)).to_be_visible()


def test_without_javascript(
    chromium: Browser, live_server: object, sign_in: SignIn, failed: Run
) -> None:
    with Watched(chromium, str(live_server), java_script_enabled=False) as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{failed.pk}/")
        page.get_by_text(FOLD).click()
        page.get_by_label("Step", exact=True).select_option("one")
        page.get_by_label("with other inputs").check()
        button(page, "Show the inputs of the chosen step").click()
        page.wait_for_url(RETRY_PAGE)
        expect(page.get_by_label("Its inputs, as JSON")).to_have_value('{\n  "a": 5,\n  "b": 1\n}')
        page.get_by_label("Run it again, and").check()
        button(page, "Retry").click()
        page.wait_for_url(f"**/runs/{failed.pk}/")

    assert Event.objects.get(run=failed).detail == {"from": ["one"]}
