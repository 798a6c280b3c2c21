"""How `<task-progress>` shows the state of a run and of each of its steps."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from parent.models import Run, Step
from tests.browser.conftest import (
    SCRIPT,
    MakeRun,
    OpenPage,
    SignIn,
    Watched,
    bar_at,
    colour,
    element,
    write,
)

ACCENT, BAD, MUTED = "rgb(1, 2, 3)", "rgb(4, 5, 6)", "rgb(7, 8, 9)"
CSS = f":root {{ --task-accent: {ACCENT}; --task-bad: {BAD}; --task-muted: {MUTED} }}"
STEPS = {
    "OK": ACCENT,
    "RUNNING": ACCENT,
    "ERROR": BAD,
    "CANCELLED": MUTED,
    "SKIPPED": MUTED,
    "QUEUED": MUTED,
    "WAITING": MUTED,
}


@pytest.fixture
def of_every_state(owner: User, make_run: MakeRun) -> Run:
    """A run with a step in each state."""
    run = make_run(owner)
    run.steps.all().delete()
    now = timezone.now()
    for index, state in enumerate(STEPS):
        active = {"attempt": 1, "task_id": str(uuid4()), "queued_at": now}
        columns: dict[str, Any] = {} if state in ("WAITING", "SKIPPED") else {**active, "total": 9}
        Step.objects.create(run=run, index=index, name=state, task="x", state=state, **columns)
    return run


def test_each_step_has_the_colour_of_its_own_state(
    open_page: OpenPage, tab: Page, sign_in: SignIn, of_every_state: Run
) -> None:
    """Whatever the state of the run is, on a page of another author."""
    sign_in(tab.context)
    tab.route("**/own.css", lambda route: route.fulfill(body=CSS, content_type="text/css"))
    for state, of_run in {"FAILURE": BAD, "REVOKED": MUTED, "PROGRESS": ACCENT}.items():
        ended = timezone.now() if state in Run.ENDED else None
        Run.objects.update(state=state, finished_at=ended)
        open_page(
            SCRIPT + '<link rel="stylesheet" href="/own.css">' + element(of_every_state, "open")
        )
        bar_at(tab, 20)
        bars = tab.locator("task-progress [part=bar] i")
        expect(bars).to_have_count(1 + len(STEPS))

        shown = [colour(bar) for bar in bars.all()]

        assert shown == [of_run, *STEPS.values()], state


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_bar_of_an_unknown_whole_has_no_value(
    tab: Page, open_page: OpenPage, sign_in: SignIn, owner: User, make_run: MakeRun, motion: Any
) -> None:
    """With and without JavaScript; and it becomes an ordinary bar when the total is known."""
    unknown = {"completion": 0.0, "iteration": 54_000, "total": None}
    run = make_run(owner, **unknown, message="func_1: 54000 done")
    run.steps.filter(name="func_1").update(**unknown, message="")
    run.steps.filter(name="func_2").delete()
    sign_in(tab.context)
    tab.emulate_media(reduced_motion=motion)

    tab.route("**/task-progress.js", lambda route: route.abort())
    tab.goto(f"/runs/{run.pk}/")
    assert tab.locator("progress").evaluate_all("(all) => all.map((it) => it.position)") == [-1, -1]
    expect(tab.locator(".percent")).to_have_text(["54,000 done"] * 2)
    tab.unroute("**/task-progress.js")

    tab.reload()
    bars = tab.get_by_role("progressbar")
    expect(tab.locator("[part=percent]")).to_have_text(["54,000 done"] * 2)
    for bar in bars.all():
        for attribute in ("aria-valuenow", "aria-valuetext"):
            assert bar.get_attribute(attribute) is None
        filled = bar.locator("i")
        assert filled.evaluate("(it) => it.getAnimations().length") == (motion != "reduce")
        assert filled.evaluate("(it) => it.clientWidth") > 0
    expect(tab).to_have_title("54,000 done main_flow")

    known = {"completion": 60.0, "iteration": 60_000, "total": 100_000}
    run.steps.update(**known)
    Run.objects.update(**known, version=2)
    bar_at(tab, 60, "func_1")
    bar_at(tab, 60)
    expect(tab.locator("[part=count]")).to_have_text(["60,000 of 100,000"] * 2)
    expect(tab.locator("[part=percent]")).to_have_text(["60 %"] * 2)


@pytest.mark.parametrize("language", ["en", "de", "fr"])
@pytest.mark.parametrize("has_script", [True, False])
def test_a_long_count_stays_in_its_frame_on_a_telephone(
    chromium: Browser,
    live_server: Any,
    sign_in: SignIn,
    owner: User,
    make_run: MakeRun,
    language: str,
    has_script: bool,
) -> None:
    unknown = {"completion": 0.0, "iteration": 54_000_000, "total": None}
    run = make_run(owner, **unknown)
    run.steps.update(**unknown, state="RUNNING", attempt=1, task_id=F("name"))
    options: dict[str, Any] = {"java_script_enabled": has_script, "locale": language}
    size = {"width": 360, "height": 800}
    with Watched(chromium, live_server.url, viewport=size, **options) as window:
        sign_in(window)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")
        of_run = ".overall .percent" if not has_script else "[part=run] > p [part=percent]"
        expect(page.locator(of_run).first).to_contain_text("54")
        frame = page.locator(".panel").first.bounding_box()
        assert frame is not None
        for shown in page.locator(".percent, [part=percent]").locator("visible=true").all():
            box = shown.bounding_box()
            assert box is not None
            assert box["x"] >= frame["x"]
            assert box["x"] + box["width"] <= frame["x"] + frame["width"]


def test_a_count_stands_beside_every_bar(
    open_page: OpenPage, tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    sign_in(tab.context)
    open_page(SCRIPT + element(run, "open"))
    bar_at(tab, 20)

    expect(tab.locator("[part=count]")).to_have_text(["0 of 2 steps", "4 of 10", ""])
    # It is said once.
    expect(tab.locator("li [part=message]").first).to_be_empty()


def test_a_page_says_what_it_waits_for_and_its_clocks_run(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    """While nothing changes, and the server says no more than that."""
    run = make_run(owner, state="PENDING", started_at=None, message="func_1", completion=0.0)
    now = timezone.now()
    run.steps.filter(name="func_1").update(
        state="QUEUED",
        attempt=2,
        queued_at=now + timedelta(seconds=60),
        started_at=None,
        reported_at=None,
        message="",
    )
    run.steps.filter(name="func_2").update(
        state="RUNNING", attempt=1, task_id=str(uuid4()), queued_at=now, started_at=now
    )
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    steps = tab.locator("[part=steps] li")
    message = steps.nth(0).locator("[part=message]")
    expect(message).to_have_text(re.compile(r"^waits for the next try, in [1-5]?\d s$"))
    running, axis = tab.locator("#timeline .figures [data-seconds]").all()
    shown = [message, steps.nth(1).locator("[part=times]"), running, axis]
    before = [each.inner_text() for each in shown]
    box = tab.locator("#timeline rect").last.evaluate("(it) => it.getBoundingClientRect().left")

    for each, text in zip(shown, before, strict=True):
        expect(each).not_to_have_text(text)
    for each in shown:
        expect(each).to_have_text(re.compile(r"\d s"))
    after = tab.locator("#timeline rect").last.evaluate("(it) => it.getBoundingClientRect().left")
    assert after < box


def test_a_run_that_waits_says_so_in_one_sentence(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    said = "func_1: retry 1 of 3 after: Error in func_1: no paper"
    run = make_run(owner, state="PENDING", started_at=None, message=said, completion=0.0)
    soon = timezone.now() + timedelta(seconds=60)
    queued = {"state": "QUEUED", "attempt": 2, "queued_at": soon, "message": said[8:]}
    run.steps.filter(name="func_1").update(started_at=None, reported_at=None, **queued)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")

    message = tab.locator("task-progress [part=run] > p [part=message]")
    expect(message).to_have_text(re.compile(r"^func_1 waits for the next try, in [1-5]?\d s$"))


def test_the_tab_tells_the_state(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    """At first, when the state changes, and without JavaScript."""
    run = make_run(owner, state="PENDING", started_at=None)
    run.steps.filter(name="func_1").update(state="QUEUED", started_at=None, reported_at=None)
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")
    icon = tab.locator("#icon")
    icons = []
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({}, "Queued: main_flow", "queued"),
        ({"state": "PROGRESS"}, "20 % main_flow", "running"),
        ({"cancel_requested_at": timezone.now()}, "Cancelling: main_flow", "running"),
        ({"state": "REVOKED", "error": "no"}, "Cancelled: main_flow", "cancelled"),
        ({"state": "FAILURE", "error": "no"}, "Failed: main_flow", "failed"),
        ({"state": "SUCCESS", "error": None}, "Done: main_flow", "done"),
    ]
    for version, (columns, title, name) in enumerate(cases, 2):
        if name in ("failed", "done"):  # an ended run does not change by itself
            write(run, **columns, version=version)
            tab.reload()
        else:
            write(run, **columns, version=version)
        expect(tab).to_have_title(title)
        expect(icon).to_have_attribute("href", f"/static/monitor/icon-{name}.svg")
        icons.append(icon.get_attribute("href"))
        rendered = tab.request.get(f"/runs/{run.pk}/").text()
        assert f"<title>{title}</title>" in rendered
        assert f'href="/static/monitor/icon-{name}.svg"' in rendered
    assert all(tab.request.get(str(each)).ok for each in icons)


@pytest.mark.parametrize(
    "colours", ["background: #111; color: #ddd", "background: #fff; color: #222"]
)
def test_its_colours_fit_the_page_around_it(
    open_page: OpenPage,
    tab: Page,
    sign_in: SignIn,
    owner: User,
    make_run: MakeRun,
    find_violations: Any,
    colours: str,
) -> None:
    """A page that is dark without a word about `color-scheme`. An error is said once."""
    sign_in(tab.context)
    css = f"body {{ {colours} }}"
    tab.route("**/own.css", lambda route: route.fulfill(body=css, content_type="text/css"))
    run = make_run(owner, state="FAILURE", error="Error in func_1: no paper")
    run.steps.filter(name="func_1").update(state="ERROR", error="Error in func_1: no paper")
    active = make_run(owner)
    open_page(
        SCRIPT
        + '<link rel="stylesheet" href="/own.css"><h1>Own page</h1>'
        + element(run, 'open label="one"')
        + element(active, 'open label="two"')
    )
    bar_at(tab, 20, "one")
    bar_at(tab, 20, "two")

    assert [it for it in find_violations(tab) if "color-contrast" in it] == []
    expect(tab.get_by_text("no paper")).to_have_count(1)


def test_recent_runs_on_the_start_page_are_live(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    sign_in(tab.context)
    tab.goto("/")
    heights = tab.locator(".card").evaluate_all("(all) => all.map((it) => it.offsetHeight)")
    assert len(set(heights)) > 1  # a long card stretches no other
    recent = tab.locator("#recent li")
    expect(recent).to_have_count(1)

    newer = make_run(owner)
    write(run, state="FAILURE", error="no")

    expect(recent).to_have_count(2, timeout=8_000)
    expect(recent.first).to_have_attribute("data-key", str(newer.pk))
    expect(recent.last).to_contain_text("failed")
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("main")).to_be_focused()
