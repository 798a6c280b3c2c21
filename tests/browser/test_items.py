"""A mapped step on the page of its run: its counters, its failed items, and their retries."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from monitor.runs.mapped import FIRST, PAGE_SIZE
from parent.inline import run_inline
from parent.models import Item, Run, Step
from tests.browser.conftest import SignIn, Watched, write
from tests.flows import workflows

Violations = Callable[[Page], list[str]]
TOTAL = 10_000
FAILED = 60
ROWS = 600  # of the items; the counters say the rest
COUNTS = {
    **{"total": TOTAL, "waiting": 2_000, "queued": 40, "running": 12, "ok": 7_876},
    **{"failed": FAILED, "skipped": 8, "cancelled": 4},
}


def running(owner: User) -> Run:
    """A run that is in the middle of a mapped step, of whose items 60 have failed."""
    run = run_inline(workflows.doubled, owner=owner, count=1)
    step = run.steps.get(name="double")
    Item.objects.filter(step=step).delete()
    Item.objects.bulk_create(
        Item(
            step=step,
            index=n,
            key=f"orders/2026/{n:05}.csv",
            state="ERROR" if n % (ROWS // FAILED) == 0 else "OK",
            kwargs={"n": n},
            attempt=1 + n % 3,
            task_id=f"{step.pk}-{n}",
            error=f"Error in double[orders/2026/{n:05}.csv]: line 7 has no <amount>",
        )
        for n in range(ROWS)
    )
    Step.objects.filter(run=run, name="count_values").update(
        state="WAITING", task_id=None, attempt=0, finished_at=None, started_at=None, queued_at=None
    )
    Step.objects.filter(pk=step.pk).update(
        state="RUNNING", finished_at=None, items=COUNTS, completion=79.4, total=TOTAL,
        iteration=7_948, message="7,948 of 10,000, 60 failed",
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(state="PROGRESS", finished_at=None, completion=60.0)
    return run


def fail(run: Run) -> None:
    ended = {**COUNTS, "waiting": 0, "queued": 0, "running": 0, "ok": 9_928}
    error = "Error in double: 60 of 10000 items failed"
    run.steps.filter(name="double").update(state="ERROR", items=ended, error=error)
    run.steps.filter(name="count_values").update(state="SKIPPED")
    write(run, state="FAILURE", error=error)


def test_the_bar_says_in_words_how_many_items_are_in_which_state(
    tab: Page, sign_in: SignIn, owner: User, find_violations: Violations
) -> None:
    run = running(owner)
    sign_in(tab.context)

    tab.goto(f"/runs/{run.pk}/")

    part = tab.locator("#items")
    expect(part.get_by_role("heading", level=2)).to_have_text("Double each: 10,000 items")
    expect(part.locator(".counts li")).to_have_text(
        [
            *("7,876 done", "12 running", "60 failed", "8 skipped", "4 cancelled"),
            *("40 queued", "2,000 waiting"),
        ]
    )
    expect(part.locator("ol.failed > li")).to_have_count(FIRST)
    # A run that goes on cannot be retried.
    expect(part.get_by_role("button")).to_have_count(0)
    assert find_violations(tab) == []


def test_the_counters_move_while_somebody_looks(tab: Page, sign_in: SignIn, owner: User) -> None:
    run = running(owner)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    expect(tab.locator("#items .counts .ok")).to_have_text("7,876 done")
    tab.evaluate("document.querySelector('#items').dataset.same = 'yes'")

    moved = {**COUNTS, "ok": 7_976, "waiting": 1_900}
    run.steps.filter(name="double").update(items=moved)
    write(run)
    expect(tab.locator("#items .counts .ok")).to_have_text("7,976 done")
    fail(run)

    expect(tab.locator("#items").get_by_role("button", name="Retry the 72")).to_be_visible()
    expect(tab.locator("#items .counts .waiting")).to_have_count(0)


@pytest.mark.parametrize(
    ("button", "waiting", "states"),
    [
        ("Retry no 0", "1 waiting", ["QUEUED", "SKIPPED", "SKIPPED"]),
        ("Retry the 3 that are not done", "3 waiting", ["QUEUED", "WAITING", "WAITING"]),
    ],
)
def test_one_failed_item_and_all_of_them_are_retried(
    tab: Page, sign_in: SignIn, owner: User, button: str, waiting: str, states: list[str]
) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=3, broken=[0])
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")

    tab.get_by_role("button", name=button, exact=True).click()

    expect(tab.locator("#items .waiting").last).to_have_text(waiting)
    rows = Item.objects.filter(step__run=run).order_by("index")
    assert list(rows.values_list("state", flat=True)) == states


def test_all_failed_items_are_on_pages_of_their_own(
    tab: Page, sign_in: SignIn, owner: User, find_violations: Violations
) -> None:
    run = running(owner)
    fail(run)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")

    tab.get_by_role("link", name="All 60 failed items").click()
    expect(tab.locator("ol.failed > li")).to_have_count(PAGE_SIZE)
    assert find_violations(tab) == []
    tab.get_by_role("link", name="Next page").click()
    expect(tab.locator("ol.failed > li")).to_have_count(FAILED - PAGE_SIZE)
    tab.get_by_role("link", name="The first page").click()
    expect(tab.locator("ol.failed > li").first).to_contain_text("line 7 has no <amount>")


def test_without_javascript_the_page_says_the_same(
    chromium: Browser, live_server: Any, sign_in: SignIn, owner: User
) -> None:
    run = running(owner)
    fail(run)
    with Watched(chromium, live_server.url, java_script_enabled=False) as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")
        expect(page.locator("#items .counts .failed")).to_have_text("60 failed")
        page.get_by_role("button", name="Retry orders/2026/00000.csv").click()
        expect(page.locator("#items")).to_contain_text("59 failed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_is_wider_than_the_screen(
    chromium: Browser,
    live_server: Any,
    sign_in: SignIn,
    owner: User,
    find_violations: Violations,
    scheme: Literal["light", "dark"],
) -> None:
    run = running(owner)
    fail(run)
    Item.objects.filter(step__run=run, index=0).update(key="a" * 200, error="b" * 3_000)
    viewport = {"width": 360, "height": 800}
    with Watched(chromium, live_server.url, viewport=viewport, color_scheme=scheme) as window:
        sign_in(window)
        page = window.new_page()
        for path in ("", "steps/double/failed/"):
            page.goto(f"/runs/{run.pk}/{path}")
            expect(page.locator("ol.failed > li").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            assert find_violations(page) == []
