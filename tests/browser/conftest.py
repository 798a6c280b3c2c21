"""Fixtures for a real browser against the live test server. A test fails when a page has a
JavaScript error, violates its Content Security Policy, or sends a request to another host."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from monitor.polling.slow_down import LONGEST_MS
from parent.models import Run
from tests.browser.chromium import HOW_TO_INSTALL, find
from tests.conftest import missing
from tests.monitor.conftest import MakeRun, form_flow, make_run, other, owner, staff
from tests.system.conftest import Gate, StartWorker, gate, start_worker, worker
from tests.waiting import until

__all__ = ["Gate", "MakeRun", "StartWorker", "form_flow", "gate", "make_run", "other", "owner"]
__all__ += ["staff", "start_worker", "worker"]

SCRIPT = '<script type="module" src="/static/monitor/task-progress.js"></script>'
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
LOOPBACK = ("localhost", "127.0.0.1")
OpenPage = Callable[..., Page]
SignIn = Callable[..., None]

# Where the machine is busy, pages are told to ask no more often than that.
expect.set_options(timeout=LONGEST_MS + 10_000)

LOG_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = find()
    if path is None:
        missing(HOW_TO_INSTALL)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright runs an event loop in this thread, so Django refuses synchronous queries.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """A browser context: a window with its own cookies."""
    with Watched(chromium, live_server.url) as context:
        yield context


class Watched:
    """A browser context whose end fails when a page did something wrong."""

    def __init__(self, chromium: Browser, origin: str, **options: Any) -> None:
        self.context = chromium.new_context(
            base_url=origin, service_workers="block", reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(10_000)
        self.context.add_init_script(LOG_VIOLATIONS)
        self.problems: list[str] = []
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.context.on("console", lambda message: self._on_console(message.text))
        self.context.on("request", self._on_request)

    def _on_console(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.problems.append(text)

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in LOOPBACK:
            self.problems.append(f"a request to another host: {request.url}")

    def __enter__(self) -> BrowserContext:
        return self.context

    def __exit__(self, *error: object) -> None:
        self.context.close()
        if error == (None, None, None):
            assert self.problems == []


@pytest.fixture
def tab(window: BrowserContext) -> Page:
    return window.new_page()


@pytest.fixture
def sign_in(live_server: Any, client: Client, owner: User) -> SignIn:
    """Give a window the session of a user, by default the run's owner."""

    def sign_in(context: BrowserContext, user: User = owner) -> None:
        client.force_login(user)
        client.get("/")  # sets the CSRF cookie
        context.add_cookies(
            [
                {"name": name, "value": client.cookies[name].value, "url": live_server.url}
                for name in ("sessionid", "csrftoken")
            ]
        )

    return sign_in


@pytest.fixture
def open_page(tab: Page) -> OpenPage:
    """Open a page of another author, on the server's origin and under a strict policy."""

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
def status_requests(tab: Page) -> list[str]:
    """URLs of the status requests that the page has sent."""
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
    """A page of another author with the run's element, signed in."""
    sign_in(tab.context)
    tab.clock.install()  # lets a test advance the time
    open_page(SCRIPT + element(run))
    bar_at(tab, 20)
    return tab


@pytest.fixture
def find_violations() -> Callable[[Page], list[str]]:
    """What axe-core finds on a page, of impact serious or critical."""
    only = {"resultTypes": ["violations"]}  # a third of its time goes into what is well

    def find_violations(page: Page) -> list[str]:
        found = Axe().run(page, options=only).response["violations"]
        return [
            f"{violation['id']}: {node['html']} {node['failureSummary']}"
            for violation in found
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]

    return find_violations


IN_VIEW = """(it) => {
  let { top, right, bottom, left } = it.getBoundingClientRect();
  const clip = (box) => {
    top = Math.max(top, box.top);
    right = Math.min(right, box.right);
    bottom = Math.min(bottom, box.bottom);
    left = Math.max(left, box.left);
  };
  clip({ top: 0, right: innerWidth, bottom: innerHeight, left: 0 });
  for (let up = it; (up = up.parentElement ?? up.getRootNode().host); ) {
    if (getComputedStyle(up).overflow !== "visible") clip(up.getBoundingClientRect());
  }
  return top < bottom && left < right;
}"""


def is_in_view(locator: Locator) -> None:
    """Wait until some of it is in the window, and not scrolled out of a box around it.

    Playwright's own `to_be_in_viewport` waits for Chromium to paint, without a limit: once in some
    ten rounds that never came.
    """
    until(f"{locator} is in view", partial(locator.evaluate, IN_VIEW))


def element(run: Run, attributes: str = "", inside: str = "") -> str:
    """The element that follows a run, as HTML."""
    return f'<task-progress src="/tasks/{run.pk}/" {attributes}>{inside}</task-progress>'


def part(page: Page, name: str) -> Any:
    """The part of that name, of the first element on the page."""
    return page.locator(f"task-progress [part={name}]").first


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name)


def write(run: Run, **columns: Any) -> None:
    """Change a run's row as the engine does, with a new version; an end sets `finished_at` too."""
    if columns.get("state") in Run.ENDED:
        columns["finished_at"] = timezone.now()
    Run.objects.filter(pk=run.pk).update(**{"version": F("version") + 1, **columns})


def bar_at(page: Page, percent: int, name: str = "main_flow") -> None:
    """Wait until the bar with that name is at `percent`."""
    bar = page.get_by_role("progressbar", name=name, exact=True)
    expect(bar).to_have_attribute("aria-valuenow", str(percent))


def colour(locator: Any, property: str = "background-color") -> Any:
    """The computed value of a colour."""
    return locator.evaluate("(it, name) => getComputedStyle(it)[name]", property)
