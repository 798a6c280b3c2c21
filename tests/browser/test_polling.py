"""How `<task-progress>` polls: one request for all elements, backoff, and a note when it stops."""

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import BrowserContext, Page, expect
from rest_framework.authtoken.models import Token

from parent.models import Run
from tests.browser.conftest import (
    SCRIPT,
    MakeRun,
    OpenPage,
    SignIn,
    bar_at,
    button,
    element,
    part,
    write,
)


def test_a_token_in_place_of_a_session(
    open_page: OpenPage, tab: Page, run: Run, owner: User
) -> None:
    token = Token.objects.create(user=owner).key
    write(run, params={"limit": 3})

    open_page(SCRIPT + element(run, f'token="{token}"'))
    bar_at(tab, 20)
    button(tab, "Cancel").click()

    expect(part(tab, "state")).to_have_text("cancelling")
    assert run.events.get().who == "ann"


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (401, "You are signed out"),
        (403, "You are signed out"),
        (404, "There is no such task"),
        (410, "There is no such task"),
    ],
)
def test_a_refusal_is_shown_and_ends_the_polling(
    page: Page, status_requests: list[str], status: int, note: str
) -> None:
    page.route("**/tasks/**", lambda route: route.fulfill(status=status, json={}))
    expect(page.get_by_text(note)).to_be_visible()
    bar_at(page, 20)

    assert is_quiet(page, status_requests)


def is_quiet(page: Page, status_requests: list[str], seconds: int = 60) -> bool:
    """Whether the page sends no request for so many seconds of its own clock."""
    before = len(status_requests)
    page.clock.run_for(1000 * seconds)
    return len(status_requests) == before


def test_it_says_when_the_session_is_lost(page: Page, run: Run) -> None:
    Session.objects.all().delete()
    expect(page.get_by_text("You are signed out")).to_be_visible()


def test_it_says_when_the_run_was_deleted(page: Page, run: Run) -> None:
    run.delete()
    expect(page.get_by_text("it was deleted, or is not yours.")).to_be_visible()


def test_it_stops_when_the_run_has_ended(page: Page, run: Run, status_requests: list[str]) -> None:
    write(run, state="SUCCESS", completion=100.0)
    bar_at(page, 100)
    assert is_quiet(page, status_requests)


@pytest.mark.parametrize("stop", ["it.stop()", "it.remove()"])
def test_it_leaves_no_timer_behind(page: Page, status_requests: list[str], stop: str) -> None:
    page.evaluate(f"it = document.querySelector('task-progress'); {stop}")
    page.wait_for_load_state("networkidle")
    assert is_quiet(page, status_requests)


def test_the_page_can_stop_and_start_it(page: Page, run: Run) -> None:
    page.evaluate("it = document.querySelector('task-progress'); it.stop()")
    page.wait_for_load_state("networkidle")
    write(run, completion=30.0)
    page.evaluate("it.start(); it.start()")
    bar_at(page, 30)


def test_it_sends_if_none_match(page: Page, run: Run) -> None:
    """A 304 changes nothing on the page, and the next change is shown."""
    with page.expect_response(lambda response: response.status == 304) as unchanged:
        pass
    assert unchanged.value.request.headers["if-none-match"]
    bar_at(page, 20)

    write(run, completion=50.0)
    bar_at(page, 50)


def test_fifty_elements_make_one_request_a_turn(
    open_page: OpenPage,
    tab: Page,
    owner: User,
    make_run: MakeRun,
    sign_in: SignIn,
    status_requests: list[str],
) -> None:
    sign_in(tab.context)
    runs = [make_run(owner, completion=float(number)) for number in range(50)]
    open_page(SCRIPT + "".join(element(run, f'label="run {run.completion:g}"') for run in runs))
    for number in (0, 25, 49):
        bar_at(tab, number, f"run {number}")
    del status_requests[:]

    for run in runs:
        write(run, completion=60.0)
    for number in range(50):
        bar_at(tab, 60, f"run {number}")

    turns = len(status_requests)
    assert {url.count(",") for url in status_requests} == {49}
    assert all("?ids=" in url for url in status_requests)
    # One request at a time, with at least half a second between them.
    began = tab.evaluate("performance.now()")
    with tab.expect_request("**/tasks/?ids=*"):
        pass
    with tab.expect_request("**/tasks/?ids=*"):
        pass
    assert len(status_requests) - turns <= (tab.evaluate("performance.now()") - began) / 500 + 1


def test_one_missing_task_does_not_stop_the_others(
    open_page: OpenPage, tab: Page, run: Run, other: User, make_run: MakeRun, sign_in: SignIn
) -> None:
    sign_in(tab.context)
    theirs = make_run(other)
    open_page(SCRIPT + element(run) + element(theirs))

    expect(tab.get_by_text("There is no such task")).to_have_count(1)
    write(run, completion=50.0)
    bar_at(tab, 50)


def test_the_end_of_one_of_several_tasks_brings_its_result(
    open_page: OpenPage, tab: Page, run: Run, owner: User, make_run: MakeRun, sign_in: SignIn
) -> None:
    sign_in(tab.context)
    open_page(SCRIPT + element(make_run(owner, completion=5.0), 'label="other"') + element(run))
    bar_at(tab, 20)
    tab.evaluate("addEventListener('done', (event) => { window.result = event.detail.result })")

    write(run, state="SUCCESS", completion=100.0, result={"primes": 7})

    bar_at(tab, 100)
    tab.wait_for_function("window.result?.primes === 7")


def test_polling_survives_the_loss_of_the_network(
    page: Page, run: Run, window: BrowserContext
) -> None:
    window.set_offline(True)
    expect(page.get_by_text("reconnecting")).to_be_visible()

    write(run, completion=50.0)
    window.set_offline(False)

    bar_at(page, 50)
    expect(page.get_by_text("reconnecting")).to_be_hidden()


def test_it_backs_off_after_failures(page: Page, status_requests: list[str]) -> None:
    page.route("**/tasks/**", lambda route: route.fulfill(status=500))
    expect(page.get_by_text("reconnecting")).to_be_visible()
    before = len(status_requests)

    for _ in range(60):
        page.clock.run_for(1000)

    # Without backoff there would be a hundred.
    assert 4 <= len(status_requests) - before <= 12


def test_it_obeys_retry_after(page: Page, run: Run, status_requests: list[str]) -> None:
    page.route("**/tasks/**", lambda r: r.fulfill(status=503, headers={"retry-after": "30"}))
    page.clock.run_for(2000)
    expect(page.get_by_text("reconnecting")).to_be_visible()
    before = len(status_requests)
    page.unroute("**/tasks/**")
    write(run, completion=50.0)

    page.clock.run_for(28_000)
    assert len(status_requests) == before
    page.clock.run_for(5_000)
    bar_at(page, 50)


def test_a_hidden_tab_sends_no_request_and_catches_up(
    page: Page, run: Run, status_requests: list[str]
) -> None:
    """In headless Chromium every tab is visible, so the test overrides what the page sees."""
    set_visibility(page, "hidden")
    page.wait_for_load_state("networkidle")
    write(run, completion=50.0)
    assert is_quiet(page, status_requests)

    set_visibility(page, "visible")
    bar_at(page, 50)


def set_visibility(page: Page, state: str) -> None:
    page.evaluate(
        """(state) => {
          const values = { visibilityState: state, hidden: state === "hidden" };
          for (const [name, value] of Object.entries(values)) {
            Object.defineProperty(document, name, { value, configurable: true });
          }
          document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        state,
    )
