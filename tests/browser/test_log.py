"""The page of a log in a browser: it follows, finds, and copies."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from playwright.sync_api import Page, expect

from parent.models import LogChunk, Run, RunState
from parent.runs.start import start
from tests.browser.conftest import SignIn
from tests.flows import workflows

FindViolations = Callable[[Page], list[str]]


def write(run: Run, first: int, *texts: str) -> None:
    lines = [
        [first + n, 1.0, 40 if "bad" in text else 20, "shop", text] for n, text in enumerate(texts)
    ]
    step = run.steps.get(index=0)
    LogChunk.objects.create(step=step, attempt=1, task_id="t", first=first, lines=lines)


@pytest.fixture
def run(owner: User) -> Run:
    run = start(workflows.noops, {}, owner=owner)
    write(run, 1, "begun", "a bad row")
    return run


@pytest.fixture
def page(tab: Page, sign_in: SignIn, run: Run) -> Page:
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    tab.get_by_role("link", name="Log", exact=True).click()
    return tab


def test_it_follows_until_the_run_has_ended(
    page: Page, run: Run, find_violations: FindViolations
) -> None:
    lines = page.locator(".log .text")
    expect(lines).to_have_text(["begun", "a bad row"])

    write(run, 3, "more")
    expect(lines).to_have_text(["begun", "a bad row", "more"])
    write(run, 9, "much later")
    expect(page.get_by_text("5 lines left out")).to_be_visible()
    assert find_violations(page) == []
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCESS, finished_at=Now())

    expect(page.locator(".log[data-ended]")).to_be_attached()
    expect(lines).to_have_count(4)


def test_it_finds_lines(page: Page) -> None:
    page.get_by_label("Find").fill("BAD")

    shown = page.locator(".log li:visible .text")
    expect(shown).to_have_text(["a bad row"])
    page.get_by_label("Find").fill("")
    expect(shown).to_have_count(2)


def test_it_narrows_by_level_and_step(page: Page) -> None:
    page.get_by_label("Level").select_option("ERROR")
    page.get_by_role("button", name="Show").click()

    expect(page.locator(".log .text")).to_have_text(["a bad row"])
    expect(page.get_by_label("Level")).to_have_value("ERROR")


def test_it_can_be_read_without_javascript(page: Page, run: Run, sign_in: SignIn) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    sign_in(context)
    plain = context.new_page()
    plain.goto(page.url)

    expect(plain.locator(".log .text")).to_have_text(["begun", "a bad row"])
    expect(plain.get_by_label("Find")).to_be_hidden()
    context.close()
