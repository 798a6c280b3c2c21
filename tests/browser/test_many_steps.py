"""Pages of runs with hundreds of steps, and of long results: what they show, fetch and cost."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import CDPSession, Page, expect

from parent.models import Run, Step
from tests.browser.conftest import MakeRun, SignIn, bar_at, is_in_view, part

STEPS = 200
HIGHEST = 3_000  # pixels of the page; with all steps shown it was 24,000
FOLDED = 70
CHANGES = 5
MOST_BYTES = 10_000 * CHANGES
LOOK_BYTES = 3_000  # one look at the page; it took 1,000 to 2,400
LONGEST_TASK = 0.05 * CHANGES  # seconds of the main thread in long tasks

TASKS = "performance.getEntriesByType('longtask').map((task) => task.duration)"


def test_numbers_are_grouped(tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun) -> None:
    run = make_run(owner, iteration=1_200, total=34_000)
    Step.objects.bulk_create(
        Step(run=run, index=index, name=f"step_{index}", task="x") for index in range(2, 1_300)
    )
    sign_in(tab.context)
    tab.goto(f"/runs/{run.pk}/")

    groups = tab.locator("task-progress [part=group]:visible")
    expect(groups).to_have_text(["1 running", "1,299 waiting"])
    expect(part(tab, "count")).to_have_text("0 of 1,300 steps")
    expect(part(tab, "summary")).to_have_text("0 of 1,300 steps done")


@pytest.fixture
def wide_run(owner: User, make_run: MakeRun) -> Run:
    """A run of 200 steps side by side: two failed, five running, the others queued."""
    run = make_run(owner)
    run.steps.all().delete()
    now = timezone.now()
    states = ["QUEUED"] * STEPS
    states[150:152] = ["ERROR"] * 2
    states[160:165] = ["RUNNING"] * 5
    Step.objects.bulk_create(
        Step(
            run=run,
            index=index,
            name=f"step_{index}",
            task="x",
            state=state,
            attempt=1,
            task_id=str(uuid4()),
            completion=40.0 if state != "QUEUED" else 0.0,
            queued_at=now,
            started_at=now if state != "QUEUED" else None,
            finished_at=now if state == "ERROR" else None,
            error="no paper" if state == "ERROR" else None,
        )
        for index, state in enumerate(states)
    )
    return run


def bytes_of(session: CDPSession) -> Callable[[], int]:
    """A function that returns the bytes that came over the network so far."""
    sizes: list[float] = []

    def note(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    session.send("Network.enable")
    session.on("Network.loadingFinished", note)
    return lambda: int(sum(sizes))


def test_a_run_of_many_steps_is_folded_and_costs_what_changes(
    tab: Page, sign_in: SignIn, wide_run: Run
) -> None:
    sign_in(tab.context)
    received = bytes_of(tab.context.new_cdp_session(tab))
    pages: list[str] = []
    tab.on(
        "request", lambda request: pages.append(request.url) if "/runs/" in request.url else None
    )
    tab.goto(f"/runs/{wide_run.pk}/")
    bar_at(tab, 20)

    # Failed first, then what runs: both in view, and each step once.
    groups = tab.locator("task-progress [part=group]:visible")
    expect(groups).to_have_text(["2 failed", "5 running", "193 queued"])
    assert tab.locator("#timeline").evaluate("(it) => it.clientHeight") < FOLDED
    is_in_view(tab.get_by_role("progressbar", name="step_164"))
    expect(tab.get_by_role("progressbar", name="step_10", exact=True)).to_have_count(0)
    assert tab.evaluate("document.documentElement.scrollHeight") < HIGHEST

    # A folded group is filled when it is unfolded, and shows more with each click.
    groups.last.click()
    queued = tab.locator("task-progress [part=steps] > details:last-of-type li")
    expect(queued).to_have_count(9)
    tab.get_by_role("button", name="Show more").locator("visible=true").click()
    expect(queued).to_have_count(109)
    groups.last.click()

    before, asked, began = received(), len(pages), time.monotonic()
    observed = "new PerformanceObserver(() => {}).observe({ type: 'longtask', buffered: true })"
    tab.evaluate(observed)
    for index in range(CHANGES):
        step = Step.objects.filter(run=wide_run, index=index)
        now = timezone.now()
        with transaction.atomic():  # as the engine does: a poll in between would be one more
            step.update(state="OK", completion=100.0, started_at=now, finished_at=now)
            Run.objects.update(completion=21.0 + index, version=2 + index)
        bar_at(tab, 21 + index)

    expect(groups).to_have_text(["2 failed", "5 running", "188 queued", "5 done"])
    # And every 5 s it looks at what no step tells.
    looks = len(pages) - asked
    assert looks <= CHANGES + (time.monotonic() - began) / 5
    assert received() - before < MOST_BYTES + LOOK_BYTES * max(looks - CHANGES, 0)
    assert sum(tab.evaluate(TASKS)) / 1000 < LONGEST_TASK

    # The timeline is folded too, and fetched when somebody unfolds it.
    tab.locator("#timeline summary").click()
    expect(tab.locator("#timeline")).to_contain_text("150 more steps are not drawn")
    expect(tab.locator("#timeline")).to_contain_text("step_150")
    expect(tab.locator("#timeline")).to_contain_text("ran ")


def test_a_long_result_is_laid_out_at_once(
    tab: Page, sign_in: SignIn, owner: User, make_run: MakeRun
) -> None:
    numbers = list(range(150_000))  # 1 MB, and 2 MB when it is indented
    run = make_run(owner, state="SUCCESS", completion=100.0, result=numbers)
    Run.objects.update(result_size=900_000)
    sign_in(tab.context)

    tab.goto(f"/runs/{run.pk}/")
    expect(part(tab, "state")).to_have_text("done")

    expect(tab.locator("#result")).to_contain_text("The beginning of 878.9")
    layout = tab.context.new_cdp_session(tab)
    layout.send("Performance.enable")
    figures = {
        each["name"]: each["value"] for each in layout.send("Performance.getMetrics")["metrics"]
    }
    assert figures["LayoutDuration"] < 1.0
