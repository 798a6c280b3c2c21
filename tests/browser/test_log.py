"""The page of a log in a browser: it follows, finds, and copies."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from playwright.sync_api import Browser, Page, expect

from parent.models import LogChunk, Run, RunState
from parent.runs.start import start
from tests.browser.conftest import SignIn, Watched, is_in_view
from tests.browser.test_coming_back import come_back
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


def test_a_step_leads_to_its_own_lines(page: Page, run: Run) -> None:
    run.steps.filter(index=0).update(state="RUNNING", started_at=Now())
    other = run.steps.get(index=1)
    line = [1, 1.0, 20, "shop", "of another step"]
    LogChunk.objects.create(step=other, attempt=1, task_id="u", first=1, lines=[line])

    page.goto(f"/runs/{run.pk}/")
    page.locator("#timeline").get_by_role("link", name="Log first").click()

    expect(page.locator(".log .text")).to_have_text(["begun", "a bad row"])


def at_the_end(page: Page) -> bool:
    place = "(it) => it.scrollHeight - it.clientHeight - it.scrollTop"
    return bool(page.locator("#log").evaluate(place) < 2)


def test_a_long_log_is_followed_from_its_end_on(page: Page, run: Run) -> None:
    write(run, 3, *(f"line {number}" for number in range(100)))
    page.reload()
    is_in_view(page.get_by_text("line 99", exact=True))

    write(run, 103, "more")
    is_in_view(page.get_by_text("more", exact=True))
    page.get_by_label("Follow").uncheck()
    page.locator("#log").evaluate("(it) => it.scrollTop = 0")
    write(run, 104, "yet more")
    expect(page.get_by_text("yet more", exact=True)).to_be_attached()
    assert not at_the_end(page)

    page.get_by_label("Follow").check()
    assert at_the_end(page)


def test_its_times_are_the_readers_own(
    chromium: Browser, live_server: Any, sign_in: SignIn, run: Run
) -> None:
    with Watched(chromium, live_server.url, timezone_id="Asia/Tokyo") as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/log/")
        write(run, 3, "more")

        expect(page.locator(".log time")).to_have_text(["09:00:01"] * 3)
        expect(page.locator(".log time").last).to_have_attribute(
            "title", "1 Jan 1970, 09:00:01 GMT+9"
        )
        expect(page.get_by_text("Asia/Tokyo")).to_be_visible()


def test_it_leads_to_the_login_and_goes_on_afterwards(
    page: Page, run: Run, sign_in: SignIn
) -> None:
    Session.objects.all().delete()
    notice = page.get_by_role("alert").get_by_role("link", name="Sign in")
    expect(notice).to_have_attribute("href", f"/login/?next=/runs/{run.pk}/log/")

    sign_in(page.context)  # in another tab
    write(run, 3, "more")
    come_back(page)
    expect(page.get_by_text("more", exact=True)).to_be_visible()
    expect(notice).to_have_count(0)


def test_an_ended_log_is_looked_at_again(page: Page, run: Run) -> None:
    """Somebody has retried the run in another tab."""
    Run.objects.update(state=RunState.FAILURE, finished_at=Now())
    ended = page.locator(".log[data-ended]")
    expect(ended).to_be_attached()

    Run.objects.update(state=RunState.PROGRESS, finished_at=None)
    come_back(page)
    expect(ended).not_to_be_attached()
    write(run, 3, "more")
    expect(page.get_by_text("more", exact=True)).to_be_visible()


def test_lines_are_copied_as_they_are(page: Page, run: Run) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    write(run, 3, "Traceback:\n  File x\n    raise Trouble")
    expect(page.get_by_text("Traceback")).to_be_visible()

    page.get_by_label("Find").fill("trouble")
    page.get_by_role("button", name="Copy").click()

    expect(page.get_by_text("Copied the lines")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "00:00:01 INFO first Traceback:\n  File x\n    raise Trouble"


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
