"""The notification at the end of a run, for who has asked for it."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from parent.models import Run
from tests.browser.conftest import SignIn, bar_at, button, write
from tests.browser.test_polling import set_visibility

NAME = "Notify me when it ends"
# The browser's own, but for what a person answers and sees.
FAKE = """
window.asked = 0;
window.shown = [];
window.Notification = class {
  static permission = sessionStorage.getItem("permission") ?? "default";
  static requestPermission() {
    window.asked += 1;
    this.permission = ANSWER;
    sessionStorage.setItem("permission", ANSWER);
    return Promise.resolve(ANSWER);
  }
  constructor(title, { body, tag }) {
    window.shown.push([title, body, tag]);
    window.last = this;
  }
  close() { window.wasClosed = true; }
};
"""


def open_run(tab: Page, sign_in: SignIn, run: Run, answer: str = "granted") -> None:
    tab.add_init_script(FAKE.replace("ANSWER", f"'{answer}'"))
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    bar_at(tab, 20)


@pytest.mark.parametrize(
    ("state", "word"), [("SUCCESS", "Done"), ("FAILURE", "Failed"), ("REVOKED", "Cancelled")]
)
def test_who_has_pressed_the_button_is_notified(
    tab: Page, sign_in: SignIn, run: Run, state: str, word: str
) -> None:
    open_run(tab, sign_in, run)
    expect(button(tab, NAME)).to_have_attribute("aria-pressed", "false")
    assert tab.evaluate("asked") == 0
    button(tab, NAME).press("Enter")
    expect(button(tab, NAME)).to_have_attribute("aria-pressed", "true")
    tab.reload()  # it is remembered
    expect(button(tab, NAME)).to_have_attribute("aria-pressed", "true")
    assert tab.evaluate("asked") == 0

    write(run, state=state, version=2)

    expect(button(tab, NAME)).to_be_hidden()
    assert tab.evaluate("shown") == [["main_flow", word, str(run.pk)]]
    tab.evaluate("window.focus = () => { window.hasFocus = true; }; last.onclick()")
    assert tab.evaluate("[hasFocus, wasClosed]") == [True, True]


def test_a_hidden_tab_notifies_too(tab: Page, sign_in: SignIn, run: Run) -> None:
    """There the element does not poll."""
    tab.clock.install()
    open_run(tab, sign_in, run)
    button(tab, NAME).click()
    expect(button(tab, NAME)).to_have_attribute("aria-pressed", "true")
    set_visibility(tab, "hidden")
    with tab.expect_response("**/tasks/**"):
        tab.clock.run_for(10_000)
    write(run, state="SUCCESS", completion=100.0, version=2)
    with tab.expect_response("**/tasks/**"):
        tab.clock.run_for(10_000)
    expect(button(tab, NAME)).to_be_hidden()
    assert tab.evaluate("shown.length") == 1

    set_visibility(tab, "visible")
    bar_at(tab, 100)
    assert tab.evaluate("shown.length") == 1


def test_who_refuses_or_changes_their_mind_is_left_alone(
    tab: Page, sign_in: SignIn, run: Run
) -> None:
    open_run(tab, sign_in, run)
    for pressed in ("true", "false"):
        button(tab, NAME).click()
        expect(button(tab, NAME)).to_have_attribute("aria-pressed", pressed)
    assert tab.evaluate("asked") == 1
    write(run, state="SUCCESS", completion=100.0, version=2)
    expect(button(tab, NAME)).to_be_hidden()
    assert tab.evaluate("shown") == []


def test_a_browser_that_blocks_them_says_so(tab: Page, sign_in: SignIn, run: Run) -> None:
    open_run(tab, sign_in, run, "denied")
    button(tab, NAME).click()
    expect(tab.get_by_text("Your browser blocks notifications")).to_be_visible()
    expect(button(tab, NAME)).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("without", ["state", "Notification"])
def test_without_sense_there_is_no_button(
    tab: Page, sign_in: SignIn, run: Run, without: str
) -> None:
    if without == "state":
        write(run, state="FAILURE", error="no")
    else:
        tab.add_init_script("delete window.Notification")
    asked: list[Any] = []
    tab.on("requestfinished", lambda request: asked.append(request.url))
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    bar_at(tab, 20)
    tab.wait_for_load_state("networkidle")

    assert any("notify.js" in url for url in asked)
    expect(button(tab, NAME)).to_be_hidden()
