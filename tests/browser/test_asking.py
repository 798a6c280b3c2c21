"""How `<task-progress>` asks: seldom, together, and never giving up without a word."""

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
    ("status", "said"),
    [
        (401, "You are signed out"),
        (403, "You are signed out"),
        (404, "There is no such task"),
        (410, "There is no such task"),
    ],
)
def test_a_refusal_is_said_plainly_and_ends_the_asking(
    page: Page, asked: list[str], status: int, said: str
) -> None:
    page.route("**/tasks/**", lambda route: route.fulfill(status=status, json={}))
    expect(page.get_by_text(said)).to_be_visible()
    bar_at(page, 20)

    assert is_quiet(page, asked)


def is_quiet(page: Page, asked: list[str], seconds: int = 60) -> bool:
    """Whether nothing is asked for so long, by the page's clock."""
    before = len(asked)
    page.clock.run_for(1000 * seconds)
    return len(asked) == before


def test_a_lost_session_is_said_plainly(page: Page, run: Run) -> None:
    Session.objects.all().delete()
    expect(page.get_by_text("You are signed out")).to_be_visible()


def test_a_deleted_run_is_said_plainly(page: Page, run: Run) -> None:
    run.delete()
    expect(page.get_by_text("it was deleted, or is not yours.")).to_be_visible()


def test_it_asks_no_more_when_the_run_has_ended(page: Page, run: Run, asked: list[str]) -> None:
    write(run, state="SUCCESS", completion=100.0)
    bar_at(page, 100)
    assert is_quiet(page, asked)


@pytest.mark.parametrize("stop", ["it.stop()", "it.remove()"])
def test_it_leaves_no_timer_behind(page: Page, asked: list[str], stop: str) -> None:
    page.evaluate(f"it = document.querySelector('task-progress'); {stop}")
    page.wait_for_load_state("networkidle")
    assert is_quiet(page, asked)


def test_it_stops_and_starts_on_its_pages_word(page: Page, run: Run) -> None:
    page.evaluate("it = document.querySelector('task-progress'); it.stop()")
    page.wait_for_load_state("networkidle")
    write(run, completion=30.0)
    page.evaluate("it.start(); it.start()")
    bar_at(page, 30)


def test_it_asks_for_changes_only(page: Page, run: Run) -> None:
    """With If-None-Match; a 304 leaves what there is, and the next change is seen."""
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
    asked: list[str],
) -> None:
    sign_in(tab.context)
    runs = [make_run(owner, completion=float(number)) for number in range(50)]
    open_page(SCRIPT + "".join(element(run, f'label="run {run.completion:g}"') for run in runs))
    for number in (0, 25, 49):
        bar_at(tab, number, f"run {number}")
    del asked[:]

    for run in runs:
        write(run, completion=60.0)
    for number in range(50):
        bar_at(tab, 60, f"run {number}")

    turns = len(asked)
    assert {url.count(",") for url in asked} == {49}
    assert all("?ids=" in url for url in asked)
    # One request at a time, half a second apart at least.
    began = tab.evaluate("performance.now()")
    with tab.expect_request("**/tasks/?ids=*"):
        pass
    with tab.expect_request("**/tasks/?ids=*"):
        pass
    assert len(asked) - turns <= (tab.evaluate("performance.now()") - began) / 500 + 1


def test_one_of_many_that_is_gone_says_so_and_the_others_go_on(
    open_page: OpenPage, tab: Page, run: Run, other: User, make_run: MakeRun, sign_in: SignIn
) -> None:
    sign_in(tab.context)
    theirs = make_run(other)
    open_page(SCRIPT + element(run) + element(theirs))

    expect(tab.get_by_text("There is no such task")).to_have_count(1)
    write(run, completion=50.0)
    bar_at(tab, 50)


def test_who_ends_among_many_tells_its_page_the_result(
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


def test_failures_are_followed_by_longer_and_longer_waits(page: Page, asked: list[str]) -> None:
    page.route("**/tasks/**", lambda route: route.fulfill(status=500))
    expect(page.get_by_text("reconnecting")).to_be_visible()
    before = len(asked)

    for _ in range(60):
        page.clock.run_for(1000)

    # Without backing off there were a hundred.
    assert 4 <= len(asked) - before <= 12


def test_retry_after_is_heeded(page: Page, run: Run, asked: list[str]) -> None:
    page.route("**/tasks/**", lambda r: r.fulfill(status=503, headers={"retry-after": "30"}))
    page.clock.run_for(2000)
    expect(page.get_by_text("reconnecting")).to_be_visible()
    before = len(asked)
    page.unroute("**/tasks/**")
    write(run, completion=50.0)

    page.clock.run_for(28_000)
    assert len(asked) == before
    page.clock.run_for(5_000)
    bar_at(page, 50)


def test_a_hidden_tab_asks_for_nothing_and_catches_up(
    page: Page, run: Run, asked: list[str]
) -> None:
    """Chromium without a screen takes every tab for visible, so the page is told otherwise."""
    show(page, "hidden")
    page.wait_for_load_state("networkidle")
    write(run, completion=50.0)
    assert is_quiet(page, asked)

    show(page, "visible")
    bar_at(page, 50)


def show(page: Page, state: str) -> None:
    page.evaluate(
        """(state) => {
          const told = { visibilityState: state, hidden: state === "hidden" };
          for (const [name, value] of Object.entries(told)) {
            Object.defineProperty(document, name, { value, configurable: true });
          }
          document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        state,
    )
