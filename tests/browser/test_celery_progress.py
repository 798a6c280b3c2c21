"""A page that was written for celery-progress, with its own script, shows our runs."""

from pathlib import Path
from urllib.parse import urlsplit

import celery_progress  # type: ignore[import-untyped]
import pytest
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
def bar(tab: Page, open_page: OpenPage, sign_in: SignIn, run: Run) -> Page:
    """Such a page, with the bar of the run."""
    sign_in(tab.context)

    def fulfill(route: Route) -> None:
        theirs = urlsplit(route.request.url).path.startswith("/static/")
        code = (
            f'CeleryProgressBar.initProgressBar("/celery-progress/{run.pk}/", {{pollInterval: 50}})'
        )
        body = SCRIPT.read_text() if theirs else code
        route.fulfill(body=body, content_type="text/javascript")

    tab.route("**/*.js", fulfill)
    return open_page(BODY, "default-src 'self'; style-src 'self' 'unsafe-inline'")


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
