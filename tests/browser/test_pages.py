"""The pages: how they follow the rows, on which screens they can be used, and who sees them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from parent.models import NotificationRule, Run, Step, StoppedWebhook
from parent.runs.user_retry.retry import retry
from parent.store.leases import renew_heartbeat
from tests.browser.conftest import (
    MakeRun,
    SignIn,
    Watched,
    bar_at,
    button,
    part,
    write,
)

FindViolations = Callable[[Page], list[str]]
SMALL = 100_000  # bytes


@pytest.fixture
def signed_in(tab: Page, sign_in: SignIn) -> Page:
    sign_in(tab.context)
    return tab


@pytest.fixture
def run_page(signed_in: Page, run: Run) -> Page:
    signed_in.goto(f"/runs/{run.pk}/")
    bar_at(signed_in, 20)
    return signed_in


def test_the_run_page_follows_the_run_to_its_result(run_page: Page, run: Run) -> None:
    write(run, completion=37.9, message="on its way")
    bar_at(run_page, 37)
    expect(run_page).to_have_title("37 % main_flow")
    expect(button(run_page, "Delete")).to_have_count(0)

    write(run, state="SUCCESS", completion=100.0, result={"total": 7}, version=2)

    expect(run_page.get_by_text('"total": 7')).to_be_visible()
    expect(run_page).to_have_title("Done: main_flow")
    with run_page.expect_download() as download:
        run_page.get_by_role("link", name="Download JSON").click()
    assert download.value.suggested_filename == f"main_flow-{run.pk}.json"


def test_a_run_and_its_steps_are_called_by_their_titles(
    signed_in: Page, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, workflow="csv_profile", message="profile: 4 of 10")
    run.steps.filter(name="func_1").update(name="profile")

    signed_in.goto(f"/runs/{run.pk}/")
    bar_at(signed_in, 20, "Profile a CSV file")

    expect(signed_in).to_have_title("20 % Profile a CSV file")
    expect(part(signed_in, "message")).to_have_text("Profile the columns: 4 of 10")
    bar_at(signed_in, 40, "Profile the columns")
    signed_in.goto("/runs/")
    bar_at(signed_in, 20, f"Profile a CSV file {str(run.pk)[:8]}")
    expect(signed_in.get_by_role("link", name="Profile a CSV file")).to_be_visible()


def test_the_id_and_the_link_of_a_run_can_be_copied(run_page: Page, run: Run) -> None:
    """Each click is announced, and one that the browser refuses as well."""
    run_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    address = run_page.url
    said = run_page.locator("#copied[role=status]")
    expect(said).to_be_empty()

    for name, text in (("id", str(run.pk)), ("link", address), ("id", str(run.pk))):
        run_page.get_by_role("button", name=f"Copy {name}").click()
        expect(said).to_have_text(f"Copied the {name}")
        assert run_page.evaluate("navigator.clipboard.readText()") == text

    run_page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject())")
    run_page.get_by_role("button", name="Copy link").press("Enter")
    expect(said).to_contain_text("Not copied")


def test_a_run_that_ended_before_the_first_poll_shows_its_result(signed_in: Page, run: Run) -> None:
    """It ends after the server rendered the page, and before the element's first request."""

    def end_first(route: Any) -> None:
        write(run, state="SUCCESS", completion=100.0, result={"total": 7}, version=2)
        route.continue_()

    signed_in.route(f"**/tasks/{run.pk}/?lang=en", end_first, times=1)
    signed_in.goto(f"/runs/{run.pk}/")

    expect(signed_in.get_by_text('"total": 7')).to_be_visible()


def test_a_run_that_ended_before_the_page_listens_shows_its_result(
    signed_in: Page, run: Run
) -> None:
    """The element has its last answer while the page's own module is still loading."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    def end_first(route: Any) -> None:
        write(run, state="SUCCESS", completion=100.0, result={"total": 7}, version=2)
        route.continue_()

    signed_in.route("**/run.js", hold)
    signed_in.route(f"**/tasks/{run.pk}/?lang=en", end_first, times=1)
    signed_in.goto(f"/runs/{run.pk}/", wait_until="commit")
    expect(part(signed_in, "state")).to_have_text("done")

    held[0].continue_()

    expect(signed_in.get_by_text('"total": 7')).to_be_visible()


def test_a_refresh_that_failed_is_tried_again(run_page: Page, run: Run) -> None:
    run_page.route(f"**/runs/{run.pk}/", lambda route: route.fulfill(status=503), times=1)
    write(run, state="SUCCESS", completion=100.0, result={"total": 7}, version=2)

    expect(run_page.get_by_text('"total": 7')).to_be_visible()


def test_the_timeline_and_the_history_are_live(run_page: Page, run: Run) -> None:
    timeline = run_page.locator("#timeline")
    expect(timeline).to_contain_text("running 1")
    expect(timeline.locator("svg").nth(1).locator("rect")).to_have_count(0)

    now = timezone.now()
    Step.objects.filter(run=run, name="func_1").update(state="ERROR", error="no", finished_at=now)
    write(run, state="FAILURE", error="Error in func_1: no", params={"limit": 1})
    expect(timeline).to_contain_text("failed after 1")

    button(run_page, "Retry").click()
    expect(timeline).to_contain_text("attempt 2: queued")
    expect(run_page.locator("#history")).to_contain_text("retry by ann")


def test_cancel_asks_once(run_page: Page, run: Run) -> None:
    write(run, params={"limit": 1})
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        if len(asked) == 1:
            dialog.dismiss()
        else:
            dialog.accept()

    run_page.on("dialog", answer)
    button(run_page, "Cancel").click()
    assert not run.events.exists()
    expect(part(run_page, "state")).to_have_text("running")

    button(run_page, "Cancel").click()
    expect(part(run_page, "state")).to_have_text("cancelling")
    Step.objects.filter(run=run).update(state="CANCELLED")
    write(run, state="REVOKED")
    expect(part(run_page, "state")).to_have_text("cancelled")
    button(run_page, "Retry").click()
    expect(part(run_page, "state")).to_have_text("running")

    assert list(run.events.values_list("what", flat=True)) == ["cancel", "retry"]
    assert len(asked) == 2
    assert asked[0].startswith("Cancel this run?")


def test_a_run_is_deleted_after_a_second_click(run_page: Page, run: Run) -> None:
    write(run, state="FAILURE", error="no")
    delete = button(run_page, "Delete for good")
    run_page.get_by_text("Delete this run").click()

    delete.click()

    run_page.wait_for_url("**/runs/")
    assert not Run.objects.exists()
    expect(run_page.get_by_text("You have no runs yet.")).to_be_visible()


def test_the_list_of_runs_is_live(
    signed_in: Page, run: Run, owner: User, make_run: MakeRun
) -> None:
    signed_in.goto("/runs/")
    rows = signed_in.locator("[data-run]")
    name = f"main_flow {str(run.pk)[:8]}"
    bar_at(signed_in, 20, name)
    signed_in.locator("[data-run] a").focus()

    newer = make_run(owner, completion=30.0)
    expect(rows).to_have_count(2, timeout=8_000)  # it is refreshed every 5 s
    expect(rows.first).to_have_attribute("data-run", str(newer.pk))
    expect(rows.last.locator("a")).to_be_focused()
    bar_at(signed_in, 30, f"main_flow {str(newer.pk)[:8]}")

    write(run, state="FAILURE", error="Error in func_1: no")
    expect(rows.last).to_contain_text("failed")
    expect(rows.last).to_contain_text("Error in func_1: no")
    bar_at(signed_in, 30, f"main_flow {str(newer.pk)[:8]}")

    run.delete()
    expect(rows).to_have_count(1, timeout=8_000)


def test_runs_are_found_by_state_workflow_time_and_text(
    signed_in: Page, owner: User, make_run: MakeRun
) -> None:
    old = timezone.now() - timedelta(days=3)
    runs = {
        "active": make_run(owner),
        "failed": make_run(owner, state="FAILURE", error="no paper"),
        "noops": make_run(owner, workflow="noops", state="SUCCESS"),
        "old": make_run(owner, state="REVOKED", created_at=old),
    }

    def found() -> set[str]:
        ids = {str(run.pk): name for name, run in runs.items()}
        rows = signed_in.locator("[data-run]").all()
        return {ids[row.get_attribute("data-run") or ""] for row in rows}

    signed_in.goto("/runs/")
    assert found() == set(runs)
    for label, value, expected in [
        ("State", "Active", {"active"}),
        ("State", "Cancelled", {"old"}),
        ("Workflow", "noops", {"noops"}),
        ("Time", "The last 24 hours", {"active", "failed", "noops"}),
    ]:
        signed_in.get_by_label(label).select_option(value)
        button(signed_in, "Filter").click()
        signed_in.wait_for_load_state()
        assert found() == expected, value
        signed_in.get_by_role("link", name="Clear").click()
    for text, expected in [("paper", {"failed"}), (str(runs["old"].pk)[:10], {"old"})]:
        signed_in.get_by_label("Search").fill(text)
        signed_in.keyboard.press("Enter")
        signed_in.wait_for_url(f"**/runs/?q={text}*")
        assert found() == expected, text

    signed_in.get_by_label("Search").fill("nothing like it")
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_text("No run fits these filters.")).to_be_visible()
    signed_in.get_by_role("link", name="Clear them").click()
    expect(signed_in.locator("[data-run]")).to_have_count(4)


def test_older_runs_are_a_page_away(signed_in: Page, owner: User, make_run: MakeRun) -> None:
    for _ in range(25):
        make_run(owner, state="SUCCESS")
    signed_in.goto("/runs/?state=done")
    expect(signed_in.locator("[data-run]")).to_have_count(25)
    older = signed_in.get_by_role("link", name="Older runs")
    expect(older).to_have_count(0)

    make_run(owner, state="SUCCESS")  # pushes the last one to the next page
    expect(older).to_be_visible(timeout=15_000)
    expect(signed_in.locator("[data-run]")).to_have_count(25)
    older.click()

    expect(signed_in.locator("[data-run]")).to_have_count(1)
    expect(signed_in.get_by_label("State")).to_have_value("done")


def test_a_notice_of_no_worker_does_not_say_that_one_runs_when_the_run_has_ended(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    expect(tab.locator("#notices")).to_contain_text("No worker is running")

    write(run, state="REVOKED", error="cancelled by ann", finished_at=run.created_at)

    expect(tab.locator("#notices")).to_have_text("The run has ended.")


@pytest.mark.parametrize("path", ["/", "/runs/", "run"])
def test_a_notice_says_that_no_worker_is_running_until_one_is(
    signed_in: Page, run: Run, path: str
) -> None:
    signed_in.goto(f"/runs/{run.pk}/" if path == "run" else path)
    warning = signed_in.get_by_text("No worker is running")
    expect(warning).to_be_visible()

    renew_heartbeat(uuid4())
    write(run, version=9)
    if path == "/":
        signed_in.reload()
    expect(warning).to_have_count(0, timeout=8_000)


def test_the_start_page_shows_the_typical_duration(
    signed_in: Page, owner: User, make_run: MakeRun
) -> None:
    now = timezone.now()
    for seconds in (10, 20, 60):
        begun = now - timedelta(seconds=seconds)
        make_run(owner, state="SUCCESS", started_at=begun, finished_at=now)
    signed_in.goto("/")
    card = signed_in.locator(".card").filter(has_text="main_flow")

    expect(card).to_contain_text("Typically 20 s")
    expect(card).to_contain_text("func_1")


def test_the_page_says_when_the_session_is_lost(run_page: Page) -> None:
    Session.objects.all().delete()
    expect(run_page.get_by_text("You are signed out")).to_be_visible()


def test_without_javascript_a_link_refreshes_the_state(
    chromium: Browser, live_server: Any, sign_in: SignIn, run: Run
) -> None:
    with Watched(chromium, live_server.url, java_script_enabled=False) as plain:
        sign_in(plain)
        tab = plain.new_page()
        tab.goto(f"/runs/{run.pk}/")
        expect(tab.get_by_text("queued 1.0 s", exact=True)).to_be_visible()

        write(run, message="further on", params={"limit": 1})
        tab.get_by_role("link", name="Refresh").click()

        expect(tab.get_by_text("further on")).to_be_visible()
        expect(button(tab, "Cancel")).to_be_hidden()
        tab.locator("summary", has_text="Cancel").click()
        expect(tab.locator(".asks p")).to_be_visible()
        button(tab, "Cancel").click()
        expect(tab.get_by_text("cancelling")).to_be_visible()
        write(run, state="REVOKED")
        Step.objects.filter(run=run).update(state="CANCELLED")
        tab.get_by_role("link", name="Refresh").click()
        button(tab, "Retry").click()
        expect(tab.locator(".overall .state").first).to_have_text("running")
        tab.goto("/runs/")
        expect(tab.get_by_text("running", exact=True)).to_be_visible()


@pytest.fixture
def every_page(owner: User, make_run: MakeRun) -> list[str]:
    """Addresses of pages that have content, with very long words."""
    long = "x" * 300
    renew_heartbeat(uuid4())
    make_run(owner)
    failed = make_run(
        owner, state="FAILURE", error=f"Error in func_1: {long}", message=long, params={long: long}
    )
    failed.steps.filter(name="func_1").update(state="ERROR", error=f"Error in func_1: {long}")
    retry(failed.pk, who="ann")
    done = make_run(owner, state="SUCCESS", completion=100.0, result={"total": [long]})
    runs = [f"/runs/{each.pk}/" for each in (failed, done)]
    again = f"/start/main_flow/?again={failed.pk}"
    return ["/", "/start/main_flow/", "/start/csv_profile/", "/runs/", *runs, again]


def open_rendered(page: Page, path: str) -> None:
    """Open a page, and wait until its bars are shown."""
    page.goto(path)
    if page.locator("task-progress").count():
        expect(part(page, "bar")).to_be_visible()
    page.wait_for_load_state("load")


@pytest.fixture
def told_pages(signed_in: Page, owner: User, make_run: MakeRun) -> list[str]:
    """The pages of notifications, with content, for one of the staff."""
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    url = f"https://partner.example.com/{'x' * 300}"
    rule = NotificationRule.objects.create(kind="webhook", on=["failed", "recovered"], url=url)
    StoppedWebhook.objects.create(digest="a" * 64, url=url)
    run = make_run(owner, state="FAILURE", error="bad")
    for state in ("waiting", "failed", "delivered"):
        run.deliveries.create(
            kind="webhook", occasion="failed", target=url, lane="x", state=state, error=url,
            attempts=3, body="{}",
        )  # fmt: skip
    return ["/notifications/", "/notifications/rules/new/", f"/notifications/rules/{rule.pk}/"]


# Colours do not depend on the width, nor the width on colours.
@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1920)])
def test_the_pages_of_notifications_fit_and_axe_finds_nothing_serious(
    signed_in: Page,
    told_pages: list[str],
    find_violations: FindViolations,
    width: int,
    scheme: Any,
) -> None:
    signed_in.set_viewport_size({"width": width, "height": 800})
    signed_in.emulate_media(color_scheme=scheme)
    for path in told_pages:
        open_rendered(signed_in, path)
        assert signed_in.evaluate("document.documentElement.scrollWidth") <= width, path
        assert find_violations(signed_in) == [], path


@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_scrolls_sideways(signed_in: Page, every_page: list[str], width: int) -> None:
    signed_in.set_viewport_size({"width": width, "height": 800})
    for path in every_page:
        open_rendered(signed_in, path)
        assert signed_in.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(
    signed_in: Page, every_page: list[str], find_violations: FindViolations, scheme: Any
) -> None:
    signed_in.emulate_media(color_scheme=scheme)
    for path in every_page:
        open_rendered(signed_in, path)
        assert find_violations(signed_in) == [], path
    signed_in.context.clear_cookies()
    for path in ("/login/", "/login/link/?sesame=no"):
        open_rendered(signed_in, path)
        assert find_violations(signed_in) == [], path


def test_the_first_paint_is_small(
    chromium: Browser, live_server: Any, sign_in: SignIn, every_page: list[str]
) -> None:
    for path in every_page[2:5]:
        with Watched(chromium, live_server.url) as window:
            sign_in(window)
            page = window.new_page()
            open_rendered(page, path)
            assert 0 < page.evaluate(TRANSFERRED) < SMALL, path


# As the browser counts it: the bodies as sent, and 300 bytes of headers for each.
TRANSFERRED = """
[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .reduce((sum, entry) => sum + entry.transferSize, 0)
"""


def test_nobody_else_sees_the_run(
    tab: Page, sign_in: SignIn, run: Run, other: User, window: BrowserContext
) -> None:
    sign_in(window, other)
    tab.goto("/runs/")
    expect(tab.get_by_text("You have no runs yet.")).to_be_visible()
    tab.goto(f"/runs/{run.pk}/")
    expect(tab.get_by_role("heading", name="There is nothing here")).to_be_visible()
