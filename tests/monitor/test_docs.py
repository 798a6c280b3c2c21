"""The page of the OpenAPI document in a real browser: its unchanged forms start runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page, Request, expect, sync_playwright

from parent.definition.workflow import registry
from parent.models import Run
from tests.browser.chromium import HOW_TO_INSTALL, find
from tests.conftest import missing
from tests.waiting import PATIENCE

TRIED = ("main_flow", "csv_profile")
# Swagger UI's own stylesheet has its icons in it.
STRICT_CSP = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"


@pytest.fixture
def docs(
    live_server: Any, client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """The page under a strict policy; an error, or a request to another host, fails the test."""
    # Of all the tests' workflows Swagger UI would draw forms for half a minute.
    monkeypatch.setattr(registry, "_workflows", {name: registry.get(name) for name in TRIED})
    path = find()
    if path is None:
        missing(HOW_TO_INSTALL)
    client.force_login(owner)
    session = client.cookies["sessionid"].value
    errors: list[str] = []

    def seen(request: Request) -> None:
        if not request.url.startswith((live_server.url, "data:", "blob:")):
            errors.append(f"asked another host: {request.url}")

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = browser.new_context(base_url=live_server.url)
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.on("request", seen)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.route(
            "**/docs/",
            lambda route: route.fulfill(
                response=(answer := route.fetch()),
                headers={**answer.headers, "content-security-policy": STRICT_CSP},
            ),
        )
        page.goto("/docs/")
        yield page
        browser.close()
    assert errors == []


def opened(docs: Page, operation: str) -> Any:
    """The form of an operation, ready to be filled in."""
    block = docs.locator(f"#operations-workflows-{operation}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    return block


def test_the_form_of_a_workflow_starts_a_run(docs: Page, owner: User) -> None:
    form = opened(docs, "start_main_flow")
    form.locator("textarea").first.fill('{"limit": 3}')
    form.get_by_role("button", name="Execute").click()

    status = form.locator(".live-responses-table .response .response-col_status")
    expect(status).to_have_text("202", timeout=1000 * PATIENCE)
    run = Run.objects.get()
    assert (run.owner, run.params) == (owner, {"limit": 3})


def test_the_form_of_a_workflow_takes_a_file(docs: Page, owner: User, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    form = opened(docs, "start_csv_profile")
    form.locator("input[type=file]").set_input_files(tmp_path / "table.csv")
    form.get_by_role("button", name="Execute").click()

    status = form.locator(".live-responses-table .response .response-col_status")
    expect(status).to_have_text("202", timeout=1000 * PATIENCE)
    run = Run.objects.get()
    assert run.owner == owner
    assert run.params["file"].endswith("/table.csv")
