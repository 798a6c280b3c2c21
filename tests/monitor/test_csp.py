"""Every page in a real browser, under its own Content Security Policy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Browser, Page, Response, sync_playwright

from examples.csv_profile.workflows import csv_profile
from parent.inline import run_inline
from parent.models import Run
from tests.browser.chromium import HOW_TO_INSTALL, find
from tests.conftest import missing

MakeRun = Callable[..., Run]
DATA = Path(project.BASE_DIR) / "examples/csv_profile/data/time_zones.csv"
STRANGERS = ["/login/", "/admin/login/", "/login/link/", "/nothing/"]
LISTEN = """
    window.broken = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.broken.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = find()
    if path is None:
        missing(HOW_TO_INSTALL)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Tab:
    """A tab that records violations of the policy and errors in scripts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.add_init_script(LISTEN)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def visit(self, path: str) -> list[str]:
        """The violations on that page. A page without a policy counts as one."""
        answer = self.page.goto(path, wait_until="load")
        self.page.evaluate(PAINTED)  # the scripts have run, and what they did is on the screen
        assert isinstance(answer, Response)
        assert answer.status < 500, path
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        broken: list[str] = self.page.evaluate("window.broken")
        found = [f"{path}: {what}" for what in broken + self.errors]
        self.errors.clear()
        return found


@pytest.fixture
def tab(chromium: Browser, live_server: Any) -> Iterator[Tab]:
    context = chromium.new_context(base_url=live_server.url)
    context.set_default_timeout(15_000)
    yield Tab(context.new_page())
    context.close()


@pytest.fixture
def signed_in(tab: Tab, live_server: Any, client: Client) -> Tab:
    boss = User.objects.create_superuser("boss", password="a long pass phrase")
    client.force_login(boss)
    session = client.cookies["sessionid"].value
    tab.page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    return tab


def test_pages_for_strangers_live_under_the_policy(tab: Tab) -> None:
    assert [broken for path in STRANGERS for broken in tab.visit(path)] == []


def test_pages_for_people_live_under_the_policy(signed_in: Tab, make_run: MakeRun) -> None:
    runs = [
        make_run(),
        make_run(state="FAILURE", error="Error in func_1: no"),
        make_run(state="SUCCESS", result={"total": 7}),
        run_inline(csv_profile, file=SimpleUploadedFile(DATA.name, DATA.read_bytes())),
    ]
    paths = ["/", "/docs/", "/start/main_flow/", "/start/csv_profile/"]
    paths += [f"/runs/{run.pk}/" for run in runs]

    assert [broken for path in paths for broken in signed_in.visit(path)] == []
    assert signed_in.page.locator(".csv-histogram rect").count() > 0
    # The widths that a page asks for are the widths that it gets.
    bar = signed_in.page.locator(".csv-bar rect").first.bounding_box()
    assert bar is not None
    assert bar["width"] > 10


def test_the_admin_lives_under_the_policy(signed_in: Tab, make_run: MakeRun) -> None:
    run = make_run(state="FAILURE", error="Error in func_1: no")
    step = run.steps.get(name="func_1")
    paths = [
        *("/admin/", "/admin/password_change/", "/admin/auth/user/", "/admin/auth/user/add/"),
        f"/admin/auth/user/{User.objects.get().pk}/change/",
        *("/admin/parent/run/", "/admin/parent/step/", "/admin/parent/executor/"),
        *(f"/admin/parent/run/{run.pk}/change/", f"/admin/parent/run/{run.pk}/delete/"),
        f"/admin/parent/step/{step.pk}/change/",
        *("/admin/axes/accessattempt/", "/admin/django_celery_results/taskresult/"),
    ]

    assert [broken for path in paths for broken in signed_in.visit(path)] == []


def test_a_break_of_the_policy_would_be_seen(tab: Tab) -> None:
    tab.visit("/login/")

    tab.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=color:red>')")
    tab.page.evaluate("document.body.appendChild(document.createElement('script')).text = '1'")
    tab.page.wait_for_function("window.broken.length == 2")

    assert ["inline" in what for what in tab.page.evaluate("window.broken")] == [True, True]
