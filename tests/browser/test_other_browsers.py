"""A smoke of the element and of the pages in WebKit and in Firefox."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from parent.models import Run
from tests.browser.conftest import MakeRun, write
from tests.browser.other_browsers import BROWSERS, Browser, missing_programs
from tests.conftest import missing
from tests.waiting import until

PART = "return document.querySelector('task-progress').shadowRoot.querySelector('[part={}]')?."
TEXT = PART + "textContent ?? ''"


@pytest.fixture(scope="module", params=list(BROWSERS))
def program(request: pytest.FixtureRequest) -> Iterator[Browser]:
    if why := missing_programs(request.param):
        missing(why)
    with BROWSERS[request.param]() as browser:
        yield browser


@pytest.fixture
def browser(program: Browser, live_server: Any, client: Client, owner: User) -> Browser:
    """Signed in as the owner."""
    client.force_login(owner)
    program.go(f"{live_server.url}/healthz")
    program.add_cookie("sessionid", client.cookies["sessionid"].value)
    return program


def test_the_element_follows_a_run_and_its_page_gets_the_rest(
    browser: Browser, live_server: Any, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner)
    browser.go(f"{live_server.url}/runs/{run.pk}/")

    until("it shows 20 %", lambda: browser.run(TEXT.format("percent")) == "20 %")
    assert browser.run(TEXT.format("state")) == "running"
    assert browser.run(PART.format("bar") + "getBoundingClientRect().width") > 200
    assert not browser.run("return !!document.querySelector('#retry details')")

    run.steps.update(state="ERROR", error="no paper")
    write(run, state="FAILURE", error="Error in func_1: no paper", version=run.version + 1)

    until("it says failed", lambda: browser.run(TEXT.format("state")) == "failed")
    there = "return !!document.querySelector('#retry details')"
    until("the form is there", lambda: browser.run(there))
    browser.run("document.querySelector('#retry details').open = true")
    shown = "return getComputedStyle(document.querySelector('.for-inputs')).display"
    assert browser.run(shown) == "none"
    browser.run("document.querySelector('[value=inputs]').click()")
    assert browser.run(shown) == "grid"


def test_the_list_ticks_all_and_its_colours_are_known(
    browser: Browser, live_server: Any, owner: User, make_run: MakeRun
) -> None:
    for _ in range(2):
        make_run(owner, state="FAILURE")
    browser.go(f"{live_server.url}/runs/")

    ready = "return !!document.querySelector('[data-tick-all=ready]')"
    until("the script has run", lambda: browser.run(ready))
    browser.run("document.querySelector('[data-tick-all] input').click()")
    ticked = "return document.querySelectorAll('input[name=run]:checked').length"
    assert browser.run(ticked) == 2
    page = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert page == "rgb(246, 246, 243)"
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.run("document.querySelector('[name=do][value=delete]').click()")
    heading = "return document.querySelector('h1')?.textContent"
    until("it asks", lambda: browser.run(heading) == "Delete 2 runs?")
    browser.run("document.querySelector('[name=sure]').click()")
    until("both are gone", lambda: not Run.objects.exists())


PAGES = ["/", "/start/main_flow/", "/start/main_flow/trends/", "/waiting/"]
WIDTHS = """
return [...document.querySelectorAll("main svg")].map((it) => it.getBoundingClientRect().width)
"""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_drawn_and_its_scripts_run(
    browser: Browser, live_server: Any, owner: User, make_run: MakeRun, path: str
) -> None:
    make_run(owner, state="SUCCESS")
    browser.go(live_server.url + path)

    assert browser.run("return document.querySelector('h1').getBoundingClientRect().height") > 10
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert all(width > 5 for width in browser.run(WIDTHS))
