"""Nothing jumps while a page loads, and while what it shows changes.

Cumulative layout shift (CLS): below 0.05 is half of what counts as good (https://web.dev/cls).
"""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, expect

from parent.models import Executor, Run, Step
from parent.store.leases import renew_heartbeat
from tests.browser.conftest import MakeRun, SignIn, Watched, bar_at, part, write

HIGHEST = 0.05
OBSERVE = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const moved = entry.sources.map(({ node, previousRect, currentRect }) =>
      `${node?.nodeName}#${node?.id}.${node?.className} ${previousRect.y} -> ${currentRect.y}`);
    if (!entry.hadRecentInput) window.shifts.push([entry.value, moved]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
SHORT = timedelta(seconds=2, milliseconds=370)
# What has been running for hours is shown in minutes: neither in this nor in the estimate, which is
# four times that, does a minute begin in the next moments.
LONG_RUNNING = timedelta(hours=2, minutes=30, seconds=37)
LONG = "reads the 12th of 30 files, which has a name of many words, and says so at length " * 2


def assert_still(page: Page, what: str) -> None:
    """Wait until the page has painted, and check how much it has shifted since the last check."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    shifts = page.evaluate("window.shifts.splice(0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what
    assert sum(value for value, _ in shifts) < HIGHEST, (what, shifts)


@pytest.fixture(params=[360, 1280])
def narrow_or_wide(request: Any, chromium: Browser, live_server: Any, sign_in: SignIn) -> Any:
    size = {"width": request.param, "height": 800}
    with Watched(chromium, live_server.url, viewport=size) as window:
        sign_in(window)
        window.add_init_script(OBSERVE)
        yield window.new_page()


def test_nothing_jumps_on_the_page_of_a_run(
    narrow_or_wide: Page, owner: User, make_run: MakeRun
) -> None:
    make_run(owner, state="SUCCESS", completion=100.0)  # so there is a usual duration
    page, run = narrow_or_wide, make_run(owner, params={"limit": 1})
    renew_heartbeat(uuid4())
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/task-progress.js", hold)
    page.goto(f"/runs/{run.pk}/", wait_until="commit")
    expect(page.get_by_text("func_1: 4 of 10")).to_be_visible()
    assert_still(page, "what is shown first")
    held[0].continue_()
    page.unroute("**/task-progress.js")
    bar_at(page, 20)
    assert_still(page, "the element in the place of its fallback")

    for number, message in enumerate(["short", LONG, "", LONG, "x"], 21):
        Step.objects.filter(run=run, name="func_1").update(message=message)
        write(run, completion=number, message=message, version=number)
        bar_at(page, number)
    assert_still(page, "messages")

    page.context.set_offline(True)
    expect(page.get_by_text("reconnecting")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("reconnecting")).to_be_hidden()
    assert_still(page, "a lost connection")

    Executor.objects.all().delete()
    expect(page.get_by_text("No worker is running")).to_be_visible(timeout=8_000)
    renew_heartbeat(uuid4())
    expect(page.get_by_text("No worker is running")).to_be_hidden(timeout=8_000)
    assert_still(page, "no worker for a while")

    now = timezone.now()
    Step.objects.filter(run=run).update(state="OK", completion=100.0, finished_at=now)
    write(run, state="SUCCESS", completion=100.0, result={"total": list(range(50))}, version=99)
    expect(page.get_by_text('"total"')).to_be_visible()
    assert_still(page, "the end")

    Run.objects.update(state="PROGRESS", finished_at=None, completion=50.0)
    Step.objects.filter(run=run, name="func_2").update(
        state="RUNNING", task_id=str(uuid4()), completion=50.0, finished_at=None
    )
    page.reload()
    bar_at(page, 75)
    assert_still(page, "a load")
    Step.objects.filter(run=run, name="func_2").update(state="ERROR", error="no paper")
    write(run, state="FAILURE", error="func_2: there was no paper in the printer", version=100)
    expect(page.get_by_text("There is none: the run failed.")).to_be_visible()
    expect(part(page, "error")).to_be_visible()
    assert_still(page, "a failure")


# Of a run and its steps: each text with its place and size. Spaces do not count.
LOOK = """(root) => [...root.querySelectorAll('*')]
  .filter((it) => !it.children.length && it.textContent.trim() && it.checkVisibility())
  .filter((it) => !it.closest('.actions, button'))
  .map((it) => {
    const text = it.ownerDocument.createRange();
    text.selectNodeContents(it);
    const { right, bottom, height } = text.getBoundingClientRect();
    return [it.textContent.trim(), ...[right, bottom, height].map(Math.round)];
  })"""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": "FAILURE", "error": "Error in func_1: it is broken"},
        {"state": "SUCCESS", "completion": 100.0},
    ],
    ids=lambda changes: str(changes.get("state", "running")),
)
def test_what_is_shown_first_looks_like_the_element(
    narrow_or_wide: Page, owner: User, make_run: MakeRun, changes: dict[str, Any]
) -> None:
    """Also without JavaScript, where nothing comes in its place."""
    page, run = narrow_or_wide, make_run(owner, **changes)
    now = timezone.now()
    if not changes:
        Run.objects.update(started_at=now - LONG_RUNNING)
        run.steps.filter(name="func_1").update(started_at=now - LONG_RUNNING)
    else:
        is_good = run.state == "SUCCESS"
        run.steps.update(state="OK" if is_good else "ERROR", finished_at=now)
        run.steps.update(completion=100.0 if is_good else 40.0, started_at=now - SHORT)
    page.route("**/*.js", lambda route: route.abort())
    page.goto(f"/runs/{run.pk}/")
    first = page.locator(".overall").evaluate(LOOK)
    page.unroute("**/*.js")
    page.goto(f"/runs/{run.pk}/")
    expect(part(page, "state")).not_to_be_empty()
    then = page.locator("task-progress").evaluate(f"(it) => ({LOOK})(it.shadowRoot)")

    assert [text for text, *_ in first] == [text for text, *_ in then]
    for (text, *before), (_, *after) in zip(first, then, strict=True):
        assert before == pytest.approx(after, abs=4), text


def test_nothing_jumps_in_the_list_of_runs(
    narrow_or_wide: Page, owner: User, make_run: MakeRun
) -> None:
    page = narrow_or_wide
    page.emulate_media(reduced_motion="no-preference")
    first, *_ = (make_run(owner, completion=float(number)) for number in range(1, 9))
    renew_heartbeat(uuid4())
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/task-progress.js", hold)
    page.goto("/runs/", wait_until="commit")
    rows = page.locator("[data-run]")
    expect(rows).to_have_count(8)
    assert_still(page, "what is shown first")
    held[0].continue_()
    page.unroute("**/task-progress.js")
    bar_at(page, 8, f"main_flow {(rows.first.get_attribute('data-run') or '')[:8]}")
    assert_still(page, "the elements in the place of their fallbacks")

    Run.objects.update(message=LONG, version=2)
    expect(page.locator("[part=message]").first).to_have_text(LONG.strip())
    assert_still(page, "messages")

    newest = make_run(owner, state="FAILURE", error="no paper")
    Run.objects.exclude(pk__in=[first.pk, newest.pk]).update(
        state="SUCCESS", completion=100.0, finished_at=timezone.now()
    )
    expect(rows).to_have_count(9, timeout=8_000)
    expect(rows.locator("task-progress")).to_have_count(1, timeout=8_000)
    page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    assert_still(page, "a new run, and the end of others")
