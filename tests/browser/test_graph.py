"""The graph on the page of a run, in a browser."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from parent.models import Run, Step
from tests.browser.conftest import MakeRun, SignIn, Watched, bar_at, is_in_view, write
from tests.browser.test_pages import FindViolations

FAN = 90
CUT_OFF = """
(boxes) => boxes.filter((it) => it.scrollHeight > it.clientHeight).map((it) => it.innerText)
"""


@pytest.fixture
def diamond(owner: User, make_run: MakeRun) -> Run:
    run = make_run(owner)
    run.steps.all().delete()
    now = timezone.now()
    after = {"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"]}
    for index, (name, names) in enumerate(after.items()):
        Step.objects.create(run=run, index=index, name=name, task="x", after=names)
    active = {"attempt": 1, "queued_at": now, "started_at": now}
    run.steps.filter(name="top").update(state="RUNNING", task_id=str(uuid4()), **active)
    return run


@pytest.fixture
def fan(owner: User, make_run: MakeRun) -> Run:
    run = make_run(owner)
    run.steps.all().delete()
    Step.objects.bulk_create(
        Step(
            run=run,
            index=index,
            name=f"part_{index}",
            task="x",
            after=[] if index == 0 else ["part_0"],
        )
        for index in range(FAN)
    )
    return run


def test_the_graph_follows_the_run(tab: Page, sign_in: SignIn, diamond: Run) -> None:
    sign_in(tab.context)
    tab.goto(f"/runs/{diamond.pk}/")
    bar_at(tab, 20)
    states = tab.locator("#graph .node .state")
    expect(states).to_have_text(["running", "waiting", "waiting", "waiting"])
    tab.get_by_role("link", name="bottom waiting").focus()

    now = timezone.now()
    diamond.steps.filter(name="top").update(state="OK", completion=100.0, finished_at=now)
    diamond.steps.filter(name="left").update(state="ERROR", error="no", finished_at=now)
    diamond.steps.filter(name="bottom").update(
        state="SKIPPED", message="skipped: left failed", finished_at=now
    )
    write(diamond, completion=40.0, version=2)

    expect(states).to_have_text(["done", "failed", "waiting", "skipped"])
    link = tab.get_by_role("link", name="bottom skipped")
    expect(link).to_be_focused()
    expect(link).to_have_attribute("title", "skipped: left failed")
    link.press("Enter")
    tab.wait_for_url(f"**/runs/{diamond.pk}/#step-3")
    row = tab.locator("#step-3")
    is_in_view(row)
    expect(row).to_contain_text("skipped: left failed")


def test_a_box_of_many_unfolds_the_timeline(tab: Page, sign_in: SignIn, fan: Run) -> None:
    sign_in(tab.context)
    tab.goto(f"/runs/{fan.pk}/")
    bar_at(tab, 20)
    box = tab.get_by_role("link", name="part_49 waiting")
    expect(box).to_be_hidden()
    tab.locator("#graph summary").press("Enter")
    box.press("Enter")
    is_in_view(tab.locator("#step-49"))


# Colours do not depend on the width, nor the width on colours.
@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1440)])
def test_the_graph_fits_and_is_accessible(
    tab: Page,
    sign_in: SignIn,
    diamond: Run,
    fan: Run,
    find_violations: FindViolations,
    width: int,
    scheme: Any,
) -> None:
    sign_in(tab.context)
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 800})
    for path in (f"/runs/{diamond.pk}/", f"/runs/{fan.pk}/", "/start/diamond/"):
        tab.goto(path)
        if tab.locator("#graph summary").count():
            tab.locator("#graph summary").click()
        expect(tab.locator("#graph svg")).to_be_visible()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
        assert find_violations(tab) == [], path
        assert tab.locator(".node").evaluate_all(CUT_OFF) == [], path


def test_without_javascript_the_graph_is_there(
    chromium: Browser, live_server: Any, sign_in: SignIn, diamond: Run
) -> None:
    with Watched(chromium, live_server.url, java_script_enabled=False) as plain:
        sign_in(plain)
        tab = plain.new_page()
        tab.goto(f"/runs/{diamond.pk}/")
        tab.get_by_role("link", name="top running").click()
        tab.wait_for_url(f"**/runs/{diamond.pk}/#step-0")
        is_in_view(tab.locator("#step-0"))
