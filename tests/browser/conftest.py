"""A real browser on the tests' own server. Whatever a page does wrong on the way fails its test:
an error in its JavaScript, a break of the content policy, a request to another host."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from parent.models import Run
from tests.browser.chromium import HOW_TO_GET_IT, find
from tests.conftest import missing
from tests.monitor.conftest import MakeRun, form_flow, make_run, other, owner, staff
from tests.system.conftest import Gate, StartWorker, gate, start_worker, worker

__all__ = ["Gate", "MakeRun", "StartWorker", "form_flow", "gate", "make_run", "other", "owner"]
__all__ += ["staff", "start_worker", "worker"]

SCRIPT = '<script type="module" src="/static/monitor/task-progress.js"></script>'
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
LOOPBACK = ("localhost", "127.0.0.1")
OpenPage = Callable[..., Page]
SignIn = Callable[..., None]

TELL_OF_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = find()
    if path is None:
        missing(HOW_TO_GET_IT)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """A browser window with cookies of its own."""
    with Watched(chromium, live_server.url) as context:
        yield context


class Watched:
    """A window in which no page may do wrong."""

    def __init__(self, chromium: Browser, origin: str, **options: Any) -> None:
        self.context = chromium.new_context(
            base_url=origin, service_workers="block", reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(10_000)
        self.context.add_init_script(TELL_OF_VIOLATIONS)
        self.wrong: list[str] = []
        self.context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        self.context.on("console", lambda said: self._said(said.text))
        self.context.on("request", self._asked)

    def _said(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.wrong.append(text)

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in LOOPBACK:
            self.wrong.append(f"a request to another host: {request.url}")

    def __enter__(self) -> BrowserContext:
        return self.context

    def __exit__(self, *error: object) -> None:
        self.context.close()
        if error == (None, None, None):
            assert self.wrong == []


@pytest.fixture
def tab(window: BrowserContext) -> Page:
    return window.new_page()


@pytest.fixture
def sign_in(live_server: Any, client: Client, owner: User) -> SignIn:
    """Give a window the session of a user, the run's owner if nobody else."""

    def sign_in(context: BrowserContext, user: User = owner) -> None:
        client.force_login(user)
        client.get("/")  # for the CSRF cookie
        context.add_cookies(
            [
                {"name": name, "value": client.cookies[name].value, "url": live_server.url}
                for name in ("sessionid", "csrftoken")
            ]
        )

    return sign_in


@pytest.fixture
def open_page(tab: Page) -> OpenPage:
    """Open a page of somebody's own, on the server's origin and under a strict policy."""

    def open_page(body: str, policy: str = STRICT) -> Page:
        html = f'<!doctype html><html lang="en"><title>Own page</title><main>{body}</main></html>'
        headers = {"content-security-policy": policy}
        tab.route(
            lambda url: urlsplit(url).path == "/own/",
            lambda route: route.fulfill(body=html, content_type="text/html", headers=headers),
        )
        tab.goto("/own/")
        return tab

    return open_page


@pytest.fixture
def asked(tab: Page) -> list[str]:
    """The requests for statuses that the page makes."""
    urls: list[str] = []

    def note(request: Request) -> None:
        if "/tasks/" in request.url:
            urls.append(request.url)

    tab.on("request", note)
    return urls


@pytest.fixture
def run(owner: User, make_run: MakeRun) -> Run:
    """A run at 20 %."""
    return make_run(owner)


@pytest.fixture
def page(open_page: OpenPage, tab: Page, sign_in: SignIn, run: Run) -> Page:
    """Somebody's page with the run's element, signed in."""
    sign_in(tab.context)
    tab.clock.install()  # so that a test can let time pass
    open_page(SCRIPT + element(run))
    bar_at(tab, 20)
    return tab


@pytest.fixture
def find_faults() -> Callable[[Page], list[str]]:
    """What axe-core finds wrong with a page as it is, as serious or worse."""

    def find_faults(page: Page) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [
            f"{fault['id']}: {node['html']} {node['failureSummary']}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    return find_faults


def element(run: Run, attributes: str = "", inside: str = "") -> str:
    """The element that follows a run, as HTML."""
    return f'<task-progress src="/tasks/{run.pk}/" {attributes}>{inside}</task-progress>'


def part(page: Page, name: str) -> Any:
    """The first element's part of that name."""
    return page.locator(f"task-progress [part={name}]").first


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name)


def write(run: Run, **columns: Any) -> None:
    """Change a run's row, as the engine does."""
    if columns.get("state") in Run.ENDED:
        columns["finished_at"] = timezone.now()
    Run.objects.filter(pk=run.pk).update(**columns)


def bar_at(page: Page, percent: int, name: str = "main_flow") -> None:
    """Wait until the bar of that name stands at so many percent."""
    bar = page.get_by_role("progressbar", name=name, exact=True)
    expect(bar).to_have_attribute("aria-valuenow", str(percent))
