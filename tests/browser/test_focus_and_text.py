"""The focus, a selection and the order of characters, while a page changes."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from parent.definition.workflow import Workflow
from parent.models import Run, Step
from tests.browser.conftest import (
    MakeRun,
    SignIn,
    Watched,
    bar_at,
    button,
    element,
    is_in_view,
    write,
)

# An element's characters that are not spaces: from left to right on the screen, and as written.
READ = """
(element) => {
  const range = document.createRange();
  const places = [];
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [index, character] of [...texts.currentNode.data].entries()) {
      range.setStart(texts.currentNode, index);
      range.setEnd(texts.currentNode, index + 1);
      if (character.trim()) places.push([range.getBoundingClientRect().left, character]);
    }
  }
  places.sort(([one], [other]) => one - other);
  return [places.map(([, character]) => character).join(""), element.innerText.replace(/\\s/g, "")];
}
"""
RTL = (
    '<script type="module" src="/static/monitor/task-progress.js"></script><div dir="rtl">{}</div>'
)


def test_figures_keep_their_order_in_a_page_from_right_to_left(
    open_page: Any, tab: Page, sign_in: SignIn, run: Run
) -> None:
    run.steps.filter(name="func_1").update(message="50 of 100 (half) %")
    write(run, message="func_1: 50 % (of 100)")
    sign_in(tab.context)
    open_page(RTL.format(element(run, 'open label="A report (2)"')))
    bar_at(tab, 20, "A report (2)")

    for part in ("name", "state", "count", "percent", "message", "times"):
        for shown in tab.locator(f"[part={part}]").all():
            on_screen, written = shown.evaluate(READ)
            assert on_screen == written, part
    # The bar grows from the right.
    bar = tab.get_by_role("progressbar", name="A report (2)")
    assert bar.evaluate(
        "(it) => it.firstChild.getBoundingClientRect().right === it.getBoundingClientRect().right"
    )


def test_the_focus_stays_in_a_list_that_changes(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    runs = [make_run(owner) for _ in range(3)][::-1]
    sign_in(tab.context)
    tab.goto("/runs/")
    links = tab.locator("[data-run] .what a")
    links.nth(1).focus()

    write(runs[1], state="FAILURE", error="no paper")
    expect(tab.get_by_text("no paper")).to_be_visible(timeout=8_000)
    expect(links.nth(1)).to_be_focused()

    runs[1].delete()
    expect(links).to_have_count(2, timeout=8_000)
    expect(links.nth(1)).to_be_focused()  # the next one

    Run.objects.all().delete()
    expect(tab.get_by_text("You have no runs yet.")).to_be_visible(timeout=8_000)
    expect(tab.locator("#list")).to_be_focused()


def test_a_selection_in_the_timeline_survives_its_changes(
    tab: Page, sign_in: SignIn, run: Run
) -> None:
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    bar_at(tab, 20)
    selected = "getSelection().toString()"
    figures = tab.locator("#timeline .figures").first
    figures.evaluate("(it) => getSelection().selectAllChildren(it)")
    before = tab.evaluate(selected)
    assert "running" in before
    axis = tab.locator("#timeline .axis [data-seconds]")
    at = axis.inner_text()

    expect(axis).not_to_have_text(at)  # it has moved on
    assert tab.evaluate(selected) == before

    tab.locator("#timeline .name").first.evaluate("(it) => getSelection().selectAllChildren(it)")
    now = timezone.now()
    Step.objects.filter(run=run, name="func_1").update(state="ERROR", error="no", finished_at=now)
    write(run)
    expect(tab.locator("#timeline")).to_contain_text("failed after")
    assert tab.evaluate(selected) == "func_1"


@pytest.mark.parametrize("with_javascript", [True, False])
def test_a_summary_of_what_is_wrong_has_the_focus_and_leads_to_the_fields(
    chromium: Browser,
    live_server: Any,
    sign_in: SignIn,
    form_flow: Workflow,
    with_javascript: bool,
) -> None:
    with Watched(chromium, live_server.url, java_script_enabled=with_javascript) as window:
        sign_in(window)
        tab = window.new_page()
        tab.goto("/start/every_kind/")
        tab.get_by_label("Title").fill(" ")
        tab.get_by_label("Names").fill("a\n" + "b" * 41)
        tab.locator("form[data-start]").evaluate("(it) => { it.noValidate = true; }")
        button(tab, "Start").click()

        summary = tab.locator("#errors")
        expect(summary).to_be_focused()
        expect(summary).to_contain_text("Not started: please look at these 2 points")
        expect(tab).to_have_title("Error: Start every_kind")
        for label, text in (("The title", "may not be blank"), ("Names", "Entry 2: Ensure this")):
            expect(summary.locator("li").filter(has_text=label)).to_contain_text(text)
            summary.get_by_role("link", name=label).press("Enter")
            field = tab.get_by_label(label)
            is_in_view(field)
            expect(field).to_be_focused()
