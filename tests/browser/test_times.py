"""Times: relative, and exact in the reader's own time zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from parent.models import Run
from tests.browser.conftest import MakeRun, SignIn, Watched, bar_at, write

BEGAN = datetime(2025, 7, 1, 22, 30, 5, tzinfo=UTC)
IN_TOKYO = "2 Jul 2025, 07:30:05 GMT+9"


@pytest.fixture
def tokyo(chromium: Browser, live_server: Any, sign_in: SignIn) -> Iterator[BrowserContext]:
    with Watched(chromium, live_server.url, timezone_id="Asia/Tokyo") as window:
        sign_in(window)
        yield window


def tooltip(time: Locator) -> str:
    """What is shown beside the time; `none` without anything."""
    return str(time.evaluate("(it) => getComputedStyle(it, '::after').content"))


@pytest.mark.parametrize("path", ["/", "/runs/", "/runs/ID/"])
def test_the_exact_time_is_the_readers_own(
    tokyo: BrowserContext, owner: User, make_run: MakeRun, path: str
) -> None:
    run = make_run(owner, state="SUCCESS", completion=100.0, created_at=BEGAN)
    page = tokyo.new_page()

    page.goto(path.replace("ID", str(run.pk)))

    time = page.locator("main time").first
    expect(time).to_have_text("2 Jul 2025")  # too long ago for a relative one
    assert tooltip(time) == "none"
    expect(time).to_have_attribute("data-exact", IN_TOKYO)
    time.hover()
    assert tooltip(time) != "none"
    page.mouse.move(0, 0)
    assert tooltip(time) == "none"
    time.focus()
    assert tooltip(time) != "none"
    expect(time).to_have_attribute("aria-description", IN_TOKYO)


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-90), "just now"),
        (timedelta(seconds=30), "just now"),
        (timedelta(minutes=3, seconds=20), "3 min ago"),
        (timedelta(hours=2, minutes=50), "2 h ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(days=7, hours=1), "7 days ago"),
    ],
)
def test_a_time_is_relative(
    tokyo: BrowserContext, owner: User, make_run: MakeRun, age: timedelta, text: str
) -> None:
    make_run(owner, state="SUCCESS", completion=100.0, created_at=timezone.now() - age)
    page = tokyo.new_page()

    page.goto("/runs/")

    expect(page.locator("main time")).to_have_text(text)


def test_a_clock_that_is_wrong_changes_nothing(
    tokyo: BrowserContext, owner: User, make_run: MakeRun
) -> None:
    begun = timezone.now() - timedelta(minutes=5, seconds=10)
    make_run(owner, state="SUCCESS", completion=100.0, created_at=begun)
    page = tokyo.new_page()
    page.clock.install(time=timezone.now() + timedelta(hours=3))

    page.goto("/runs/")
    time = page.locator("main time")
    expect(time).to_have_text("5 min ago")
    page.clock.fast_forward(60_000)

    expect(time).to_have_text("6 min ago")


def test_times_that_come_later_are_relative_too(
    tokyo: BrowserContext, owner: User, make_run: MakeRun
) -> None:
    run: Run = make_run(owner)
    page: Page = tokyo.new_page()
    page.goto(f"/runs/{run.pk}/")
    bar_at(page, 20)
    times = page.locator("#facts time")
    expect(times).to_have_text(["just now"])

    write(run, state="SUCCESS", completion=100.0, result=1, version=2)

    expect(times).to_have_text(["just now", "just now"])
    expect(page.locator("main")).not_to_contain_text("UTC")


def test_without_a_script_times_are_in_the_projects_zone(
    chromium: Browser, live_server: Any, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, state="SUCCESS", completion=100.0, created_at=BEGAN)
    options = {"java_script_enabled": False, "timezone_id": "Asia/Tokyo"}
    with Watched(chromium, live_server.url, **options) as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")
        expect(page.locator("#facts time").first).to_have_text("1 Jul 2025, 22:30:05 UTC")
        page.goto("/runs/")
        expect(page.locator("main time")).to_have_text("1 Jul, 22:30 UTC")
