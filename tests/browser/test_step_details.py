"""What staff open at a step and at an item, on the page of a run."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from parent.inline import run_inline
from parent.models import Executor, Item, Run, Step
from tests.browser.conftest import SignIn, Watched, is_in_view, write
from tests.browser.looks import look_at
from tests.flows import workflows

Violations = Callable[[Page], list[str]]
TRACE = 'Traceback (most recent call last):\n  File "maps.py", line 25, in double\n' + (
    f"ValueError: {'1 is broken, and so is all that came after it. ' * 4}"
)


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", password="a long pass phrase")


@pytest.fixture
def run(owner: User) -> Run:
    """A run with a failed item."""
    run = run_inline(workflows.doubled, owner=owner, count=4, broken=[1])
    worker = Executor.objects.create(host="worker-3.example.org", pid=4711)
    run.steps.update(executor=worker, traceback=TRACE)
    Item.objects.filter(step__run=run, state="ERROR").update(executor=worker, traceback=TRACE)
    return run


def opener(page: Page, name: str) -> Any:
    return page.get_by_role("link", name=f"Details {name}", exact=True)


def test_details_open_in_place_and_stay_open(
    tab: Page, sign_in: SignIn, boss: User, run: Run, find_violations: Violations
) -> None:
    sign_in(tab.context, boss)
    tab.goto(f"/runs/{run.pk}/")
    expect(tab.locator("task-progress [part=state]").first).to_have_text("failed")
    tab.evaluate("window.isTheSame = true")
    boxes = tab.locator(".inside")
    expect(boxes).to_have_count(0)

    opener(tab, "Double each").focus()
    tab.keyboard.press("Enter")

    expect(boxes).to_have_count(1)
    expect(boxes).to_contain_text("worker-3.example.org:4711")
    expect(boxes.locator("pre").last).to_contain_text("line 25, in double")
    expect(opener(tab, "Double each")).to_be_focused()
    expect(opener(tab, "Double each")).to_have_attribute("aria-expanded", "true")

    opener(tab, "no 1").click()
    expect(boxes).to_have_count(2)
    expect(tab.locator("ol.failed .inside")).to_contain_text('"n": 1')
    look_at(tab, find_violations, "step-details")

    opener(tab, "Double each").click()
    expect(boxes).to_have_count(1)
    assert tab.evaluate("window.isTheSame") is True

    tab.reload()
    expect(tab.locator("ol.failed .inside")).to_have_count(1)


def test_what_is_open_is_kept_up_to_date(tab: Page, sign_in: SignIn, boss: User, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(state="PROGRESS", finished_at=None)
    run.steps.filter(name="count_values").update(
        state="QUEUED", attempt=1, task_id="of-the-next", executor=None
    )
    sign_in(tab.context, boss)
    tab.goto(f"/runs/{run.pk}/?open=1")
    expect(tab.locator(".inside")).not_to_contain_text("4711")

    worker = Executor.objects.get()
    run.steps.filter(name="count_values").update(state="RUNNING", executor=worker)
    write(run)

    expect(tab.locator(".inside")).to_contain_text("worker-3.example.org:4711")


@pytest.mark.parametrize("name", ["Double each", "no 1"])
def test_without_javascript_it_is_a_link(
    chromium: Browser, live_server: Any, sign_in: SignIn, boss: User, run: Run, name: str
) -> None:
    with Watched(chromium, live_server.url, java_script_enabled=False) as context:
        sign_in(context, boss)
        page = context.new_page()
        page.goto(f"/runs/{run.pk}/")

        opener(page, name).click()

        expect(page.locator(".inside")).to_have_count(1)
        is_in_view(page.locator(".inside"))
        opener(page, name).click()
        expect(page.locator(".inside")).to_have_count(0)


def test_one_step_among_a_thousand_opens_alone(
    tab: Page, sign_in: SignIn, boss: User, run: Run
) -> None:
    Step.objects.bulk_create(
        Step(run=run, index=index, name=f"step_{index}", task="x", kwargs={"text": "x" * 20_000})
        for index in range(2, 1_000)
    )
    sign_in(tab.context, boss)
    sizes: list[int] = []
    tab.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    tab.goto(f"/runs/{run.pk}/?steps=all")
    tab.get_by_role("heading", name="Timeline").click()
    expect(opener(tab, "step_500")).to_be_visible()
    sizes.clear()

    with tab.expect_response(lambda answer: "open=500" in answer.url):
        opener(tab, "step_500").click()

    expect(tab.locator("#step-500 .inside")).to_contain_text("xxx…")
    expect(tab.locator(".inside")).to_have_count(1)
    assert sum(sizes) < 60_000
