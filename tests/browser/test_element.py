"""The element `<task-progress>` in a page of another author."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Page, Response, Route, expect

from parent.models import Run, Step
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

MODULE = Path(settings.BASE_DIR) / "monitor/static/monitor/task-progress.js"
LISTEN = """() => {
  window.events = [];
  for (const name of ["progress", "done", "failed"]) {
    document.addEventListener(name, (event) => {
      window.events.push([name, event.detail.state, event.target.tagName]);
    });
  }
}"""


def test_it_is_one_readable_module() -> None:
    code = MODULE.read_bytes()

    assert not re.search(rb"^import |import\(", code, re.M)
    assert max(map(len, code.splitlines())) <= 120


def test_all_that_a_page_loads_for_it_is_less_than_10_kb_compressed(
    open_page: OpenPage, tab: Page, run: Run, sign_in: SignIn
) -> None:
    sign_in(tab.context)
    responses: list[Response] = []

    def note(response: Response) -> None:
        responses.append(response)

    tab.on("response", note)
    open_page(SCRIPT + element(run))
    bar_at(tab, 20)

    bodies = {urlsplit(response.url).path: response.body() for response in responses}
    loaded = {path for path in bodies if path != "/own/" and not path.startswith("/tasks/")}
    assert "/static/monitor/task-progress.js" in loaded
    assert sum(len(gzip.compress(bodies[path])) for path in loaded) < 10_000


def test_no_attribute_is_also_a_property(page: Page) -> None:
    """React 19 sets a property where there is one: it would replace a method of the element."""
    names = ["src", "base", "token", "csrf", "login", "label", "show", "open"]
    properties = page.evaluate(
        "(names) => names.filter((name) => name in document.querySelector('task-progress'))", names
    )
    assert properties == []


def test_it_shows_name_state_message_times_and_steps(page: Page, run: Run) -> None:
    assert part(page, "name").inner_text() == "main_flow"
    assert part(page, "percent").inner_text() == "20 %"
    expect(part(page, "state")).to_have_text("running")
    expect(part(page, "message")).to_have_text("func_1: 4 of 10")
    expect(part(page, "times")).to_have_text(re.compile(r"^\d+ s · about \d+ s left$"))
    expect(part(page, "summary")).to_have_text("0 of 2 steps done")
    expect(page.get_by_role("progressbar", name="func_1")).to_be_hidden()

    part(page, "summary").click()

    bar_at(page, 40, "func_1")
    bar_at(page, 0, "func_2")
    assert "2 steps" in part(page, "steps").inner_text()


def test_its_content_is_shown_until_there_is_a_status(
    open_page: OpenPage, tab: Page, run: Run, sign_in: SignIn
) -> None:
    sign_in(tab.context)
    tab.route("**/tasks/**", lambda route: route.abort())
    open_page(SCRIPT + element(run, inside="<a href='/'>See the run</a>"))
    expect(tab.get_by_text("reconnecting")).to_be_visible()
    expect(tab.get_by_role("link", name="See the run")).to_be_visible()
    expect(tab.get_by_role("progressbar")).to_have_count(0)

    tab.unroute("**/tasks/**")

    bar_at(tab, 20)
    expect(tab.get_by_role("link", name="See the run")).to_be_hidden()
    expect(tab.get_by_text("reconnecting")).to_be_hidden()


def test_it_sends_events(page: Page, run: Run) -> None:
    page.evaluate(LISTEN)
    write(run, completion=30.0)
    bar_at(page, 30)
    write(run, state="SUCCESS", completion=100.0)
    bar_at(page, 100)

    events = page.evaluate("events")
    assert events[0] == ["progress", "PROGRESS", "TASK-PROGRESS"]
    assert events[-2:] == [
        ["progress", "SUCCESS", "TASK-PROGRESS"],
        ["done", "SUCCESS", "TASK-PROGRESS"],
    ]
    assert page.evaluate("document.querySelector('task-progress').status.state") == "SUCCESS"


@pytest.mark.parametrize(("state", "word"), [("FAILURE", "failed"), ("REVOKED", "cancelled")])
def test_it_shows_an_error(page: Page, run: Run, state: str, word: str) -> None:
    page.evaluate(LISTEN)
    write(run, state=state, error="Error in func_1: <no>")

    expect(part(page, "state")).to_have_text(word)
    expect(part(page, "error")).to_have_text("Error in func_1: <no>")
    bar_at(page, 20)
    expect(button(page, "Cancel")).to_be_hidden()
    expect(button(page, "Retry")).to_be_visible()
    assert page.evaluate("events.at(-1)") == ["failed", state, "TASK-PROGRESS"]


def test_the_bar_never_moves_back_and_is_full_only_at_the_end(page: Page, run: Run) -> None:
    write(run, completion=10.0, message="a late answer")
    expect(part(page, "message")).to_have_text("a late answer")
    bar_at(page, 20)

    write(run, completion=100.0, message="nearly there")
    expect(part(page, "message")).to_have_text("nearly there")
    bar_at(page, 99)


def test_a_new_attempt_resets_the_bars(page: Page, run: Run) -> None:
    part(page, "summary").click()
    bar_at(page, 40, "func_1")

    Step.objects.filter(run=run, name="func_1").update(attempt=2, completion=5.0)
    write(run, completion=2.5)

    bar_at(page, 5, "func_1")
    bar_at(page, 2)


def test_cancel_and_retry_are_one_click_each(page: Page, run: Run) -> None:
    write(run, params={"limit": 3})
    expect(button(page, "Retry")).to_be_hidden()

    button(page, "Cancel").click()
    expect(part(page, "state")).to_have_text("cancelling")
    expect(button(page, "Cancel")).to_be_hidden()

    run.steps.update(state="CANCELLED", error="func_1 was cancelled")
    write(run, state="REVOKED", error="func_1 was cancelled")
    expect(part(page, "state")).to_have_text("cancelled")

    button(page, "Retry").click()
    expect(part(page, "state")).to_have_text("running")
    # Its first step has not said yet how much there is.
    expect(page.get_by_role("progressbar", name="main_flow")).not_to_have_attribute(
        "aria-valuenow", re.compile(".*")
    )
    expect(part(page, "error")).to_be_hidden()
    assert list(run.events.values_list("what", "who")) == [("cancel", "ann"), ("retry", "ann")]

    write(run, completion=35.0)
    bar_at(page, 35)  # it polls again


def test_a_cancel_that_comes_too_late_shows_the_end(page: Page, run: Run) -> None:
    cancel = button(page, "Cancel")

    def too_late(route: Route) -> None:
        write(run, state="SUCCESS")
        route.continue_()

    page.route("**/cancel/", too_late)
    cancel.click()

    expect(part(page, "state")).to_have_text("done")
    assert not run.events.exists()


def test_the_reason_of_a_refused_click_stays(page: Page, run: Run) -> None:
    page.context.clear_cookies(name="csrftoken")
    button(page, "Cancel").click()
    refused = page.get_by_text("CSRF")
    expect(refused).to_be_visible()

    write(run, completion=30.0)
    bar_at(page, 30)

    expect(refused).to_be_visible()


def test_a_new_src_shows_another_task(page: Page, owner: User, make_run: MakeRun) -> None:
    other = make_run(owner, completion=5.0)
    page.evaluate(
        f"document.querySelector('task-progress').setAttribute('src', '/tasks/{other.pk}/')"
    )
    bar_at(page, 5)


def test_a_new_src_during_a_request(
    open_page: OpenPage, tab: Page, run: Run, owner: User, make_run: MakeRun, sign_in: SignIn
) -> None:
    """A late answer about the previous task, here its end, is dropped."""
    other = make_run(owner, completion=5.0)
    write(run, state="SUCCESS", completion=100.0)
    sign_in(tab.context)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.route(f"**/tasks/{run.pk}/", hold)
    with tab.expect_request(f"**/tasks/{run.pk}/"):
        open_page(SCRIPT + element(run, 'label="one"'))
    tab.evaluate(
        f"document.querySelector('task-progress').setAttribute('src', '/tasks/{other.pk}/')"
    )
    bar_at(tab, 5, "one")

    with tab.expect_response(f"**/tasks/{run.pk}/"):
        held[0].continue_()
    write(other, completion=6.0)
    bar_at(tab, 6, "one")


def test_a_new_src_during_a_request_for_several_tasks(
    open_page: OpenPage, tab: Page, run: Run, owner: User, make_run: MakeRun, sign_in: SignIn
) -> None:
    """The answer is about the previous task, and is dropped."""
    second, third = make_run(owner, completion=30.0), make_run(owner, completion=5.0)
    sign_in(tab.context)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    tab.route("**/tasks/?ids=*", hold)
    with tab.expect_request("**/tasks/?ids=*"):
        open_page(SCRIPT + element(run, 'label="one"') + element(second, 'label="two"'))
    tab.evaluate(
        f"document.querySelector('task-progress').setAttribute('src', '/tasks/{third.pk}/')"
    )
    held[0].continue_()

    bar_at(tab, 5, "one")
    bar_at(tab, 30, "two")
    expect(tab.get_by_text("There is no such task")).to_have_count(0)


def test_the_page_chooses_what_to_show(
    open_page: OpenPage, tab: Page, run: Run, sign_in: SignIn
) -> None:
    sign_in(tab.context)
    open_page(SCRIPT + element(run, 'show="percent times" label="The report"'))
    bar_at(tab, 20, "The report")

    for shown in ("percent", "times"):
        expect(part(tab, shown)).to_be_visible()
    for hidden in ("name", "state", "message", "cancel", "retry", "steps"):
        expect(part(tab, hidden)).to_be_hidden()


def test_the_page_can_style_it(open_page: OpenPage, tab: Page, run: Run, sign_in: SignIn) -> None:
    sign_in(tab.context)
    css = """
        task-progress { --task-accent: rgb(1, 2, 3) }
        task-progress::part(name) { color: rgb(4, 5, 6) }
    """
    tab.route("**/own.css", lambda route: route.fulfill(body=css, content_type="text/css"))
    open_page(SCRIPT + '<link rel="stylesheet" href="/own.css">' + element(run))
    bar_at(tab, 20)

    expect(part(tab, "name")).to_have_css("color", "rgb(4, 5, 6)")
    expect(tab.locator("[part=bar] i").first).to_have_css("background-color", "rgb(1, 2, 3)")


def test_the_live_region_announces_changes_of_state_only(page: Page, run: Run) -> None:
    page.evaluate(
        """() => {
          window.announced = [];
          const root = document.querySelector("task-progress").shadowRoot;
          for (const region of root.querySelectorAll("[role=status]")) {
            new MutationObserver(() => announced.push(region.textContent)).observe(
              region, { subtree: true, childList: true, characterData: true });
          }
        }"""
    )
    for percent in (30, 40, 50):
        write(run, completion=float(percent), message=f"{percent} of 100")
        bar_at(page, percent)
    assert page.evaluate("announced") == []

    write(run, state="SUCCESS", completion=100.0)
    bar_at(page, 100)
    assert page.evaluate("announced") == ["main_flow done"]


def test_everything_can_be_done_with_the_keyboard(page: Page, run: Run) -> None:
    write(run, params={"limit": 3})
    page.keyboard.press("Tab")
    expect(button(page, "Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    bar_at(page, 40, "func_1")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")

    expect(part(page, "state")).to_have_text("cancelling")
    expect(part(page, "run")).to_be_focused()  # not the top of the page
    run.steps.update(state="CANCELLED")
    write(run, state="REVOKED")
    expect(button(page, "Retry")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(part(page, "state")).to_have_text("running")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: OpenPage,
    tab: Page,
    owner: User,
    make_run: MakeRun,
    sign_in: SignIn,
    find_violations: Callable[[Page], list[str]],
    scheme: Any,
) -> None:
    sign_in(tab.context)
    tab.emulate_media(color_scheme=scheme)
    css = ":root { color-scheme: light dark; background: Canvas; color: CanvasText }"
    tab.route("**/own.css", lambda route: route.fulfill(body=css, content_type="text/css"))
    running, failed = make_run(owner), make_run(owner, state="FAILURE", error="Error in func_1: no")
    open_page(
        SCRIPT
        + '<link rel="stylesheet" href="/own.css"><h1>Own page</h1>'
        + element(running, 'label="one"')
        + element(failed, 'label="two"')
    )
    bar_at(tab, 20, "one")
    bar_at(tab, 20, "two")
    for summary in tab.locator("[part=summary]").all():
        summary.click()

    assert find_violations(tab) == []
