"""The list of runs for who is on call: ticking, the question, the outcome, counts, and a day."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from parent.models import Run
from tests.browser.conftest import MakeRun, SignIn, Watched, button, write
from tests.browser.looks import look_at

FindViolations = Callable[[Page], list[str]]


@pytest.fixture
def runs(owner: User, make_run: MakeRun) -> list[Run]:
    """Four runs, the newest first: one active, two failed, and one done."""
    at = timezone.now()
    states = ["PROGRESS", "FAILURE", "FAILURE", "SUCCESS"]
    error = "Error in print: there is no paper"
    return [
        make_run(
            owner,
            state=state,
            created_at=at - timedelta(hours=hours),
            error=error if state == "FAILURE" else "",
        )
        for hours, state in enumerate(states)
    ]


@pytest.fixture
def listed(tab: Page, sign_in: SignIn, staff: User, runs: list[Run]) -> Page:
    sign_in(tab.context, staff)
    tab.goto("/runs/")
    return tab


def test_two_are_ticked_and_deleted(
    listed: Page, runs: list[Run], find_violations: FindViolations
) -> None:
    for run in runs[:2]:
        listed.get_by_role("checkbox", name=str(run.pk)[:8]).check()
    look_at(listed, find_violations, "runs")
    button(listed, "Delete…").click()

    expect(listed.get_by_role("heading", level=1)).to_have_text("Delete 1 run?")
    expect(listed.get_by_text("It has not ended yet.")).to_be_visible()
    look_at(listed, find_violations, "bulk")
    button(listed, "Delete 1 run").click()

    expect(listed.get_by_role("heading", level=1)).to_have_text("1 run deleted")
    look_at(listed, find_violations, "bulk-done")
    assert set(Run.objects.all()) == {runs[0], *runs[2:]}
    listed.get_by_role("link", name="Back to the list").click()
    listed.wait_for_url("**/runs/")


def test_all_on_the_page_at_once(listed: Page, runs: list[Run]) -> None:
    every = listed.get_by_label("All on this page")
    boxes = listed.locator("input[name=run]")
    every.check()
    for number in range(len(runs)):
        expect(boxes.nth(number)).to_be_checked()

    boxes.first.uncheck()
    expect(every).not_to_be_checked()


def test_a_tick_stays_while_the_list_is_kept_up_to_date(listed: Page, runs: list[Run]) -> None:
    tick = listed.get_by_role("checkbox", name=str(runs[0].pk)[:8])
    tick.check()

    write(runs[0], state="SUCCESS")

    done = listed.locator("#counts").get_by_role("link", name="Done")
    expect(done).to_have_text("Done 2")
    expect(tick).to_be_checked()


def test_a_count_is_a_filter_and_all_that_match_it_are_taken(
    listed: Page, runs: list[Run], find_violations: FindViolations
) -> None:
    listed.get_by_role("link", name="Failed 2").click()
    expect(listed.locator(".runs > li")).to_have_count(2)
    expect(listed.get_by_label("State")).to_have_value("failed")

    listed.get_by_label("All that match these filters").check()
    button(listed, "Delete…").click()
    button(listed, "Delete 2 runs").click()

    expect(listed.get_by_role("heading", level=1)).to_have_text("2 runs deleted")
    assert set(Run.objects.all()) == {runs[0], runs[3]}


def test_without_javascript_one_jumps_to_a_day(
    chromium: Browser, live_server: object, sign_in: SignIn, runs: list[Run], make_run: MakeRun
) -> None:
    old = make_run(runs[0].owner, created_at=timezone.now() - timedelta(days=9), state="FAILURE")
    with Watched(chromium, str(live_server), java_script_enabled=False) as window:
        sign_in(window)
        page = window.new_page()
        page.goto("/runs/")
        day = (timezone.now() - timedelta(days=8)).date()
        page.get_by_label("Jump to a day").fill(str(day))
        button(page, "Filter").click()
        expect(page.locator(".runs > li")).to_have_count(1)
        page.get_by_role("checkbox", name=str(old.pk)[:8]).check()
        button(page, "Delete…").click()
        button(page, "Delete 1 run").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 run deleted")

    assert not Run.objects.filter(pk=old.pk).exists()
