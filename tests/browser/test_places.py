"""A run that waits for a place of a limit: its page says who has it, until it has one itself."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from playwright.sync_api import Page, expect

from children.meta import Meta
from parent import Step, Workflow
from parent.messages.publish import publishing_off
from parent.models import Run
from parent.runs.concurrency import shared_limits
from parent.runs.endings import end_attempt
from tests.browser.conftest import SignIn
from tests.flows import tasks

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(autouse=True)
def _one_gpu() -> Iterator[None]:
    with override_settings(WORKFLOW_LIMITS={"gpu": 1}), publishing_off():
        yield


def test_it_says_so_until_it_has_one(
    tab: Page, sign_in: SignIn, owner: User, find_violations: Callable[[Page], list[str]]
) -> None:
    flow = Workflow("limited", steps=[Step(tasks.noop, limits=["gpu"])])
    holder, waits = (flow.start(owner=owner) for _ in range(2))
    sign_in(tab.context)

    tab.goto(f"/runs/{waits.pk}/")

    line = tab.get_by_role("region", name="Waits for a place")
    expect(line).to_contain_text("gpu (noop)")
    expect(line).to_contain_text("1 of 1 in use; 0 before it")
    expect(line.get_by_role("link")).to_have_attribute("href", f"/runs/{holder.pk}/")
    assert find_violations(tab) == []

    end_attempt(str(holder.steps.get().task_id), Meta().ok(None))
    shared_limits.fill(["gpu"])

    expect(line).to_be_hidden(timeout=15_000)
    assert Run.objects.get(pk=holder.pk).ended
