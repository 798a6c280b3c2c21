"""How `<task-progress>` shows the state of a run and of each of its steps."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from parent.models import Run, Step
from tests.browser.conftest import (
    SCRIPT,
    MakeRun,
    OpenPage,
    SignIn,
    bar_at,
    colour,
    element,
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
        active = {"attempt": 1, "task_id": str(run.pk)[:-2] + f"{index:02}", "queued_at": now}
        columns: dict[str, Any] = {} if state in ("WAITING", "SKIPPED") else active
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
