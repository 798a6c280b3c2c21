"""Each example in docs/progress-bar.md works as it is written."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from rest_framework.authtoken.models import Token

from examples.main_flow.workflows import main_flow
from parent.models import Run
from tests.browser.conftest import MakeRun, SignIn, bar_at, button, part, write
from tests.browser.own_pages import TEXT
from tests.browser.test_element import MODULE
from tests.workers import Worker

pytestmark = pytest.mark.urls("tests.browser.own_pages")


@pytest.fixture
def signed_in(tab: Page, sign_in: SignIn) -> Page:
    sign_in(tab.context)
    return tab


def test_plain_html(signed_in: Page, run: Run) -> None:
    signed_in.goto("/own/plain/0/")
    bar_at(signed_in, 20)


def test_plain_html_of_another_origin(
    tab: Page, run: Run, owner: User, live_server: Any, settings: Any
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [live_server.url]
    token = Token.objects.create(user=owner).key
    write(run, params={"limit": 3})
    tab.goto(f"/own/plain/1/?token={token}")
    bar_at(tab, 20)

    button(tab, "Cancel").click()
    expect(part(tab, "state")).to_have_text("cancelling")


def test_django_templates(signed_in: Page, worker: Worker) -> None:
    signed_in.goto("/own/django/")
    bar_at(signed_in, 100, "Your report")
    assert Run.objects.get().params == {"limit": 3}


def test_the_buttons_in_a_django_template(signed_in: Page) -> None:
    signed_in.goto("/own/django/")
    button(signed_in, "Cancel").click()
    expect(part(signed_in, "state")).to_have_text("cancelled")


def test_htmx(signed_in: Page, worker: Worker) -> None:
    signed_in.goto("/own/htmx/")
    button(signed_in, "Make the report").click()
    expect(signed_in.get_by_text("6057 primes")).to_be_visible(timeout=20_000)
    expect(signed_in.locator("task-progress")).to_have_count(0)


def test_react(signed_in: Page, owner: User, worker: Worker) -> None:
    run = main_flow.start(owner=owner, limit=3)
    signed_in.goto(f"/own/react/?run={run.pk}")
    bar_at(signed_in, 100, "Your report")
    expect(signed_in).to_have_title("primes: 6057")


def test_reacts_element_can_change_its_task_and_be_removed(
    signed_in: Page, run: Run, owner: User, make_run: MakeRun, status_requests: list[str]
) -> None:
    signed_in.clock.install()
    signed_in.goto(f"/own/react/?run={run.pk}")
    bar_at(signed_in, 20, "Your report")
    signed_in.evaluate(f"show('{make_run(owner, completion=70.0).pk}')")
    bar_at(signed_in, 70, "Your report")

    signed_in.evaluate("show(null)")
    expect(signed_in.locator("task-progress")).to_have_count(0)
    signed_in.wait_for_load_state("networkidle")
    before = len(status_requests)
    signed_in.clock.run_for(10_000)
    assert len(status_requests) == before


def test_the_docs_name_every_attribute_property_and_part() -> None:
    module = MODULE.read_text()
    attributes = set(re.findall(r'this\.(?:get|has)Attribute\("(\w+)"\)', module))
    properties = set(re.findall(r"var\((--task-\w+)", module))
    parts = set(re.findall(r'part="(\w+)"', module))

    assert {"src", "token", "show", "csrf"} <= attributes
    assert "--task-height" in properties
    assert {"run", "bar", "note", "summary"} <= parts
    assert [name for name in attributes if f"| `{name}` |" not in TEXT] == []
    assert [name for name in properties | parts if f"`{name}`" not in TEXT] == []
