"""The pages in a real browser: they follow the rows, whatever happens on the way."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from parent.models import Run, Step
from tests.conftest import missing

MakeRun = Callable[..., Run]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STRICT_CSP = "default-src 'self'; frame-ancestors 'none'; form-action 'self'"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing("No Chromium on PATH: install one (Debian: chromium) to run the browser tests.")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """A browser of its own, where every page lives under a strict Content-Security-Policy."""
    context = chromium.new_context(base_url=live_server.url, service_workers="block")
    context.set_default_timeout(10_000)
    context.route(lambda url: "/tasks/" not in url, with_strict_csp)
    yield context
    context.close()


def with_strict_csp(route: Route) -> None:
    if route.request.resource_type != "document" or route.request.method != "GET":
        return route.continue_()
    response = route.fetch(max_redirects=0)
    headers = {**response.headers, "content-security-policy": STRICT_CSP}
    return route.fulfill(response=response, headers=headers)


@pytest.fixture
def tab(window: BrowserContext) -> Iterator[Page]:
    """A tab; an error in the page's JavaScript, or a break of the policy, fails the test."""
    page = window.new_page()
    errors: list[str] = []
    refused: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: refused.append(said.text))
    yield page
    assert errors == []
    assert [text for text in refused if "Content Security Policy" in text] == []


@pytest.fixture
def sign_in(live_server: Any, client: Client, owner: User) -> Callable[[BrowserContext], None]:
    def sign_in(context: BrowserContext) -> None:
        client.force_login(owner)
        session = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])

    return sign_in


@pytest.fixture
def watched(
    tab: Page, sign_in: Callable[[BrowserContext], None], owner: User, make_run: MakeRun
) -> tuple[Page, Run]:
    """The page of a run at 20 %, open in a tab."""
    run = make_run(owner)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    return tab, run


def overall_bar(tab: Page) -> Any:
    return tab.get_by_role("progressbar", name="Progress of main_flow")


def write(run: Run, **columns: Any) -> None:
    if columns.get("state") in Run.ENDED:
        columns["finished_at"] = timezone.now()
    Run.objects.filter(pk=run.pk).update(**columns)


def test_from_the_login_to_a_result(tab: Page, owner: User) -> None:
    tab.goto("/")
    tab.get_by_label("Username").fill("ann")
    tab.get_by_label("Password").fill("a long pass phrase")
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_role("link", name="main_flow").click()
    tab.get_by_label("Limit").fill("3")
    tab.get_by_role("button", name="Start").click()

    expect(tab.get_by_role("heading", name="main_flow")).to_be_visible()
    run = Run.objects.get()
    assert (run.owner, run.params) == (owner, {"limit": 3})
    expect(tab).to_have_url(f"{tab.evaluate('location.origin')}/runs/{run.pk}/")

    write(run, state="PROGRESS", started_at=timezone.now(), completion=37.9, message="on its way")
    expect(overall_bar(tab)).to_have_js_property("value", 37)
    expect(tab.get_by_text("on its way")).to_be_visible()
    expect(tab).to_have_title("37 % main_flow")

    write(run, state="SUCCESS", completion=100.0, message="", result={"total": 7})
    expect(overall_bar(tab)).to_have_js_property("value", 100)
    expect(tab.get_by_text('"total": 7')).to_be_visible()
    expect(tab.get_by_text("The run has ended: done.")).to_be_visible()


def test_the_bar_never_runs_back_and_is_full_only_at_the_end(watched: tuple[Page, Run]) -> None:
    tab, run = watched

    write(run, completion=10.0, message="a late answer")
    expect(tab.get_by_text("a late answer")).to_be_visible()
    expect(overall_bar(tab)).to_have_js_property("value", 20)

    write(run, completion=100.0, message="nearly there")
    expect(tab.get_by_text("nearly there")).to_be_visible()
    expect(overall_bar(tab)).to_have_js_property("value", 99)


def test_a_new_attempt_starts_its_bar_anew(watched: tuple[Page, Run]) -> None:
    tab, run = watched
    bar = tab.get_by_role("progressbar", name="Progress of func_1")
    expect(bar).to_have_js_property("value", 40)

    Step.objects.filter(run=run, name="func_1").update(attempt=2, completion=5.0)

    expect(bar).to_have_js_property("value", 5)


def test_an_error_is_said_plainly(watched: tuple[Page, Run]) -> None:
    tab, run = watched
    run.steps.filter(name="func_1").update(state="ERROR", error="Error in func_1: <no>")
    run.steps.filter(name="func_2").update(state="SKIPPED")
    write(run, state="FAILURE", error="Error in func_1: <no>")

    expect(tab.get_by_text("Error in func_1: <no>").first).to_be_visible()
    expect(tab.get_by_text("The run has ended: failed.")).to_be_visible()
    expect(tab.locator("[data-step=func_2] [data-word]")).to_have_text("skipped")
    expect(overall_bar(tab)).to_have_js_property("value", 20)


def test_cancel_and_retry_are_one_click_each(watched: tuple[Page, Run]) -> None:
    tab, run = watched
    write(run, params={"limit": 3})
    word = tab.locator("[data-overall] [data-word]")
    cancel, retry = (tab.get_by_role("button", name=name) for name in ("Cancel", "Retry"))
    expect(retry).to_be_hidden()

    cancel.click()
    expect(word).to_have_text("cancelling")
    expect(cancel).to_be_hidden()

    run.steps.filter(name="func_1").update(state="CANCELLED", error="func_1 was cancelled")
    write(run, state="REVOKED", error="func_1 was cancelled")
    expect(word).to_have_text("cancelled")
    expect(tab.get_by_text("The run has ended: cancelled.")).to_be_visible()

    retry.click()
    expect(cancel).to_be_visible()
    expect(tab.get_by_text("func_1, attempt 1")).to_be_visible()
    expect(tab.get_by_text("retry by ann")).to_be_visible()
    assert Step.objects.get(run=run, name="func_1").attempt == 2


def test_somebody_else_cancels_while_the_page_is_open(watched: tuple[Page, Run]) -> None:
    tab, run = watched

    write(run, cancel_requested_at=timezone.now())

    expect(tab.locator("[data-overall] [data-word]")).to_have_text("cancelling")
    expect(tab.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_run_that_ends_well_leaves_no_button(watched: tuple[Page, Run]) -> None:
    tab, run = watched

    write(run, state="SUCCESS", completion=100.0, result={"total": 7})

    expect(tab.get_by_text('"total": 7')).to_be_visible()
    expect(tab.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(tab.get_by_role("button", name="Retry")).to_be_hidden()


def test_polling_survives_a_server_that_is_away(watched: tuple[Page, Run]) -> None:
    tab, run = watched
    tab.route("**/tasks/**", lambda route: route.abort())
    expect(tab.get_by_text("reconnecting")).to_be_visible()

    tab.unroute("**/tasks/**")
    write(run, message="back again")

    expect(tab.get_by_text("back again")).to_be_visible()
    expect(tab.get_by_text("reconnecting")).to_be_hidden()


def test_polling_keeps_one_timer_and_stops_at_the_end(
    tab: Page, sign_in: Callable[[BrowserContext], None], owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    requests: list[str] = []
    sign_in(tab.context)
    tab.on("request", lambda request: requests.append(request.url))
    tab.clock.install()
    tab.goto(f"/runs/{run.pk}/")
    write(run, state="SUCCESS", completion=100.0, result={})
    expect(tab.get_by_text("The run has ended: done.")).to_be_visible()

    asked = len(requests)
    tab.clock.run_for(60_000)

    assert len(requests) == asked


def test_a_deleted_run_is_said_plainly(watched: tuple[Page, Run]) -> None:
    tab, run = watched
    run.delete()
    expect(tab.get_by_text("This run was deleted.")).to_be_visible()


def test_a_lost_session_is_said_plainly(watched: tuple[Page, Run]) -> None:
    tab, _ = watched
    Session.objects.all().delete()
    expect(tab.get_by_text("You are signed out.")).to_be_visible()


def test_without_javascript_a_link_refreshes_the_state(
    chromium: Browser,
    window: BrowserContext,
    live_server: Any,
    sign_in: Callable[[BrowserContext], None],
    owner: User,
    make_run: MakeRun,
) -> None:
    run = make_run(owner)
    plain = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    sign_in(plain)
    tab = plain.new_page()
    tab.goto(f"/runs/{run.pk}/")

    write(run, message="further on")
    tab.get_by_role("link", name="Refresh").click()

    expect(tab.get_by_text("further on")).to_be_visible()
    plain.close()


@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_scrolls_sideways(
    tab: Page,
    sign_in: Callable[[BrowserContext], None],
    owner: User,
    make_run: MakeRun,
    width: int,
) -> None:
    long = "x" * 300
    run = make_run(owner, state="FAILURE", error=f"Error in func_1: {long}", message=long)
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto("/login/")
    pages = ["/login/", "/", "/start/main_flow/", f"/runs/{run.pk}/"]
    for path in pages:
        tab.goto(path)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
        sign_in(tab.context)
