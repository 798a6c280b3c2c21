"""A reader whose browser asks for German gets German, from the server and from the scripts."""

from typing import Any

from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

from tests.browser.conftest import SignIn, Watched
from tests.monitor.conftest import MakeRun


def test_a_run_is_shown_in_german(
    chromium: Browser, live_server: Any, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, state="SUCCESS", completion=100.0, result=1)
    with Watched(chromium, live_server.url, locale="de-DE") as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")

        element = page.locator("task-progress").first
        expect(element.locator("[part=state]").first).to_have_text("fertig")
        expect(element.locator("[part=summary]")).to_contain_text("Schritten fertig")
        expect(page.locator("#facts time").first).to_have_text("gerade eben")
        expect(page).to_have_title("Fertig: main_flow")
        expect(page.get_by_role("button", name="Id kopieren")).to_be_visible()
