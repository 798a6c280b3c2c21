"""A reader whose browser asks for German gets German, from the server and from the scripts."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone, translation
from playwright.sync_api import Browser, Route, expect

from monitor.texts.language import LANGUAGES, figure
from parent.models import Run, Step
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


ENGLISH = re.compile(
    r"\b(of|steps?|waits|failed|error|skipped|running|queued|after|attempts|is|none|worker of)\b",
    re.IGNORECASE,
)


def unless_get(route: Route) -> None:
    """What is fetched has not changed."""
    if route.request.method == "GET":
        route.fulfill(status=304)
    else:
        route.continue_()


def test_the_element_says_what_the_engine_says_in_german(
    chromium: Browser, live_server: Any, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    """Errors, reasons, what is waited for, and figures: the same sentences as the page's own."""
    run = make_run(owner, message="func_1: 4 of 10")
    now = timezone.now()
    run.steps.filter(name="func_1").update(iteration=4_000, total=10_000, message="4000 of 10000")
    run.steps.filter(name="func_2").update(state="SKIPPED", message="skipped: func_1 failed")
    queued = now - timedelta(seconds=60)
    Step.objects.create(
        **{"run": run, "index": 2, "name": "func_3", "task": "x", "state": "QUEUED"},
        **{"attempt": 1, "task_id": str(uuid4()), "queue": "gpu", "queued_at": queued},
    )
    error = "Error in func_4: no paper (after 3 attempts)"
    Step.objects.create(
        **{"run": run, "index": 3, "name": "func_4", "task": "x", "state": "ERROR", "attempt": 1},
        **{"task_id": str(uuid4()), "error": error, "started_at": now, "finished_at": now},
    )
    with Watched(chromium, live_server.url, locale="de-DE") as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")
        parts = page.locator("task-progress section li")
        expect(parts.nth(0).locator("[part=count]")).to_have_text("4.000 von 10.000")
        parts_said = parts.locator("[part=message], [part=error]")
        said = " | ".join(text for text in parts_said.all_text_contents() if text)
        assert said == (
            "4.000 von 10.000 | übersprungen: func_1 ist fehlgeschlagen | wartet auf: einen Worker "
            "der Warteschlange „gpu“: keiner läuft | "
            "Fehler in func_4: no paper (nach 3 Versuchen)"
        )
        whole = page.locator("task-progress section > p").all_inner_texts()
        shown = " ".join([*whole, *parts.all_text_contents()]).replace("no paper", "")
        assert "func_1: 4.000 von 10.000" in shown
        assert "< 0,1 s" in shown
        assert ENGLISH.findall(shown) == []

        with page.expect_response(f"**/tasks/{run.pk}/*"):
            pass  # what is asked later would tell of the end before the click
        page.route("**/*", unless_get)
        Run.objects.filter(pk=run.pk).update(state="FAILURE", finished_at=now)
        with page.expect_event("dialog") as asked:
            page.once("dialog", lambda dialog: dialog.accept())
            page.get_by_role("button", name="Abbrechen").click()
        assert asked.value.message.startswith("Diesen Lauf abbrechen?")
        note = page.locator("task-progress [part=note]")
        expect(note).to_have_text("Der Lauf ist schon beendet: Er ist FAILURE.")


@pytest.mark.parametrize("language", [*LANGUAGES, "tr"])
def test_a_figure_is_the_same_from_the_server_and_from_a_script(
    chromium: Browser,
    live_server: Any,
    sign_in: SignIn,
    owner: User,
    make_run: MakeRun,
    language: str,
) -> None:
    """Else it would change when the first answer comes."""
    run = make_run(owner)
    run.steps.filter(name="func_1").update(iteration=4_000, total=1_234_567)
    with Watched(chromium, live_server.url, locale=language) as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")

        count = page.locator("task-progress section li [part=count]").first
        expect(count).to_be_visible()
        with translation.override(language):
            shown = [figure(4_000), figure(1_234_567)]
        # Playwright takes all kinds of spaces for the same.
        said = count.text_content() or ""
        assert [each for each in shown if each not in said] == []
