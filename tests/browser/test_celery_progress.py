"""A page that was written for celery-progress, with its own script, shows our runs."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import celery_progress  # type: ignore[import-untyped]
import pytest
from celery import current_app, states
from celery.result import AsyncResult, GroupResult
from playwright.sync_api import Page, Route, expect

from parent.models import Run
from tests.browser.conftest import OpenPage, SignIn, write

SCRIPT = Path(celery_progress.__file__).parent / "static/celery_progress/celery_progress.js"
BODY = """
<div id="progress-bar"></div><p id="progress-bar-message"></p><p id="celery-result"></p>
<script src="/static/celery_progress/celery_progress.js"></script>
<script src="/own/bar.js"></script>
"""


@pytest.fixture
def open_bar(tab: Page, open_page: OpenPage, sign_in: SignIn) -> Callable[[str], Page]:
    """A function that opens such a page, with the bar of what is at this address."""
    sign_in(tab.context)

    def of(address: str) -> Page:
        url = f"/celery-progress/{address}/"
        code = f'CeleryProgressBar.initProgressBar("{url}", {{pollInterval: 50}})'

        def fulfill(route: Route) -> None:
            theirs = urlsplit(route.request.url).path.startswith("/static/")
            body = SCRIPT.read_text() if theirs else code
            route.fulfill(body=body, content_type="text/javascript")

        tab.route("**/*.js", fulfill)
        return open_page(BODY, "default-src 'self'; style-src 'self' 'unsafe-inline'")

    return of


@pytest.fixture
def bar(open_bar: Callable[[str], Page], run: Run) -> Page:
    """With the bar of the run."""
    return open_bar(str(run.pk))


def test_the_bar_moves_and_ends(bar: Page, run: Run) -> None:
    message = bar.locator("#progress-bar-message")
    expect(message).to_have_text("20 of 100 processed. func_1: 4 of 10")
    assert bar.locator("#progress-bar").evaluate("element => element.style.width") == "20%"

    write(run, state="SUCCESS", result={"rows": 3}, completion=100.0)

    expect(message).to_have_text("Success!")
    assert bar.locator("#progress-bar").evaluate("element => element.style.width") == "100%"


def test_an_error_reaches_the_page(bar: Page, run: Run) -> None:
    expect(bar.locator("#progress-bar-message")).to_contain_text("processed")

    write(run, state="FAILURE", error="Error in func_1: bad")

    expect(bar.locator("#celery-result")).to_have_text("Error in func_1: bad")
    expect(bar.locator("#progress-bar-message")).to_have_text("Uh-Oh, something went wrong!")


def test_a_group_has_one_bar(open_bar: Callable[[str], Page], run: Run) -> None:
    """Of a run, and of a task that has not begun."""
    other = str(uuid4())
    group: GroupResult = GroupResult(str(uuid4()), [AsyncResult(str(run.pk)), AsyncResult(other)])
    group.save()

    page = open_bar(f"g/{group.id}")

    message = page.locator("#progress-bar-message")
    expect(message).to_have_text("20 of 200 processed.")
    assert page.locator("#progress-bar").evaluate("element => element.style.width") == "10%"

    write(run, state="SUCCESS", result={"rows": 3}, completion=100.0)
    expect(message).to_have_text("100 of 200 processed.")

    current_app.backend.store_result(other, 3, states.SUCCESS)
    expect(message).to_have_text("Success!")
