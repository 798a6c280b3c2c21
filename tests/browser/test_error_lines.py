"""An error of several lines on the page of a run: live, after a reload, and without JavaScript."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Locator, Page, expect

from parent import Map, Step, Workflow
from parent.inline import run_inline
from parent.models import Run
from parent.runs.start import start
from tests.browser.conftest import SignIn, Watched, part
from tests.browser.looks import look_at
from tests.flows import tasks
from tests.monitor.runs import fail

Violations = Callable[[Page], list[str]]
LINES = ["Row 3: no weight", "Row 9: no name", "Row 12: the name is too long"]
SHOWN = ["Error in Load the rows: Row 3: no weight", *LINES[1:]]

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def run(owner: User) -> Run:
    load = Step(tasks.noop, title="Load the rows")
    store = Step(tasks.noop, name="store", title="Store them")
    return start(Workflow("loading", steps=[load, store]), {}, owner=owner)


def lines_of(shown: Locator) -> list[str]:
    return [line.strip() for line in shown.inner_text().splitlines()]


@pytest.mark.parametrize("language", ["en", "de"])
def test_it_has_its_lines_live_and_after_a_reload(
    tab: Page, sign_in: SignIn, run: Run, find_violations: Violations, language: str
) -> None:
    shown = [SHOWN[0].replace("Error", "Fehler") if language == "de" else SHOWN[0], *SHOWN[1:]]
    tab.set_extra_http_headers({"Accept-Language": language})
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    expect(part(tab, "state").first).to_be_visible()

    fail(run, "noop", "Error in noop: " + "\n".join(LINES))

    error = tab.locator("task-progress section > p [part=error]")
    expect(error).to_contain_text(LINES[2])
    assert lines_of(error) == shown
    # The step does not say it again.
    expect(tab.locator("task-progress li [part=error]").first).to_be_empty()
    if language == "en":
        look_at(tab, find_violations, "error-lines")
    tab.reload()
    expect(error).to_contain_text(LINES[2])
    assert lines_of(error) == shown


def test_without_javascript(
    chromium: Browser, live_server: Any, sign_in: SignIn, owner: User
) -> None:
    said = {"message": "\n".join(LINES)}
    each = Map(tasks.fails, name="each", title="Each row", over=lambda _: [said])
    alone = Step(tasks.fails, name="noop", title="Load the rows", after=[], inputs=lambda _: said)
    run = run_inline(Workflow("rows", steps=[alone, each]), owner=owner)
    mapped = run_inline(Workflow("more", steps=[each]), owner=owner)
    with Watched(chromium, live_server.url, java_script_enabled=False) as context:
        sign_in(context)
        page = context.new_page()

        page.goto(f"/runs/{run.pk}/")
        assert lines_of(page.locator(".overall .error").first) == SHOWN
        page.goto(f"/runs/{mapped.pk}/")
        assert lines_of(page.locator("ol.failed .error")) == LINES


def test_a_very_long_one_scrolls(tab: Page, sign_in: SignIn, run: Run) -> None:
    """What is below it stays near."""
    fail(run, "noop", "\n".join(f"Row {number}: bad" for number in range(120)))
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")

    error = tab.locator("task-progress section > p [part=error]")
    expect(error).to_contain_text("Row 119")
    assert error.bounding_box()["height"] < 600  # type: ignore[index]
    error.focus()
    tab.keyboard.press("End")
    tab.wait_for_function(
        "() => document.querySelector('task-progress').shadowRoot"
        ".querySelector('[part=error]').scrollTop > 0"
    )
