"""From the form to the end of a run with a real worker, and a server that stops for a while."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, FilePayload, Page, Route, expect
from rest_framework.authtoken.models import Token

from parent.definition.workflow import Workflow
from parent.models import Run
from tests.browser.conftest import (
    SCRIPT,
    Gate,
    OpenPage,
    SignIn,
    StartWorker,
    Watched,
    bar_at,
    button,
    element,
    part,
)
from tests.flows import workflows
from tests.services import free_port
from tests.waiting import until
from tests.workers import Worker, database_url

DOWNTIME = 20  # seconds
CSV = b"city,people\n" + b"Ulm,126000\n" * 200_000


def test_from_the_login_to_the_result(tab: Page, owner: User, worker: Worker) -> None:
    tab.goto("/")
    tab.get_by_label("Username").fill("ann")
    tab.get_by_label("Password").fill("a long pass phrase")
    button(tab, "Sign in").click()
    tab.get_by_role("link", name="main_flow").click()
    tab.get_by_label("Limit").fill("3")
    button(tab, "Start").click()

    tab.wait_for_url(f"**/runs/{Run.objects.get().pk}/")
    expect(part(tab, "state")).to_have_text("done", timeout=30_000)
    bar_at(tab, 100)
    expect(tab.get_by_text('"primes": 6057')).to_be_visible()
    expect(tab.locator("#timeline")).to_contain_text("ran ")
    expect(tab).to_have_title("Done: main_flow")
    run = Run.objects.get()
    assert (run.owner, run.params) == (owner, {"limit": 3})


def test_with_the_keyboard_alone(tab: Page, owner: User, worker: Worker, gate: Gate) -> None:
    def tab_to(name: str, role: Any = "button") -> None:
        wanted = tab.get_by_role(role, name=name, exact=True)
        for _ in range(40):
            tab.keyboard.press("Tab")
            if wanted.evaluate("(it) => it.getRootNode().activeElement === it"):
                return
        raise AssertionError(f"{name} cannot be reached")

    tab.goto("/start/gate/")
    tab.get_by_label("Username").wait_for()
    tab.keyboard.type("ann")  # the first field has the focus
    tab.keyboard.press("Tab")
    tab.keyboard.type("a long pass phrase")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/start/gate/")
    tab_to("Gate", "textbox")
    tab.keyboard.type(gate.name)
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/runs/*/")
    gate.reached()

    tab_to("Cancel")
    tab.once("dialog", lambda dialog: dialog.accept())
    tab.keyboard.press("Enter")
    expect(part(tab, "state")).to_have_text("cancelling")
    gate.open()
    expect(part(tab, "state")).to_have_text("cancelled")
    expect(button(tab, "Retry")).to_be_visible()
    tab_to("Retry")
    # Opened at once: the first child may have ended OK before it saw the cancel, and then the retry
    # does not run it again.
    gate.open()
    tab.keyboard.press("Enter")
    expect(part(tab, "state")).to_have_text("done", timeout=20_000)

    tab.locator("#delete summary").wait_for()
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.locator("#delete summary").evaluate("(it) => it === document.activeElement"):
            break
    tab.keyboard.press("Enter")
    tab_to("Delete for good")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/runs/")
    assert not Run.objects.exists()


def test_an_error_is_shown_on_the_runs_page(tab: Page, sign_in: SignIn, worker: Worker) -> None:
    sign_in(tab.context)
    tab.goto("/start/broken/")
    button(tab, "Start").click()

    expect(part(tab, "error")).to_have_text("Error in fails: it is broken")
    expect(part(tab, "state")).to_have_text("failed")
    bar = tab.get_by_role("progressbar", name="fails")
    expect(bar).to_have_attribute("aria-valuetext", "70 %, failed")
    expect(tab.locator("#timeline")).to_contain_text("failed after")

    button(tab, "Retry").click()
    expect(tab.locator("#timeline")).to_contain_text("attempt 2")


def choose(tab: Page, content: bytes = b"a,b\n1,2\n") -> None:
    file = FilePayload(name="cities.csv", mimeType="text/csv", buffer=content)
    tab.get_by_label("File").set_input_files(file)


def test_an_upload_has_its_own_progress(
    tab: Page, sign_in: SignIn, start_worker: StartWorker, media: Path
) -> None:
    start_worker("-P", "threads", "-c", "1", MEDIA_ROOT=str(media))
    sign_in(tab.context)
    tab.goto("/start/csv_profile/")
    choose(tab, CSV)
    slow = tab.context.new_cdp_session(tab)
    line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_500_000}
    slow.send("Network.emulateNetworkConditions", line)

    button(tab, "Start").click()
    expect(tab.get_by_text(re.compile(r"Uploading: \d\.\d of 2\.2 MB"))).to_be_visible()
    expect(button(tab, "Start")).to_be_disabled()
    button(tab, "Stop").click()
    expect(button(tab, "Start")).to_be_enabled()
    expect(tab.get_by_role("progressbar")).to_be_hidden()
    assert not Run.objects.exists()
    slow.send("Network.emulateNetworkConditions", line | {"uploadThroughput": -1})
    button(tab, "Start").click()

    tab.wait_for_url("**/runs/*/")
    expect(part(tab, "state")).to_have_text("done", timeout=30_000)
    expect(tab.get_by_role("heading", name="cities.csv")).to_be_visible()


def test_a_file_is_kept_when_another_field_is_wrong(tab: Page, sign_in: SignIn) -> None:
    sign_in(tab.context)
    tab.goto("/start/csv_profile/")
    choose(tab)
    tab.get_by_label("Encoding").evaluate("(it) => { it.selectedOptions[0].value = 'no'; }")

    button(tab, "Start").click()
    expect(tab.locator(".field").get_by_text("is not a valid choice")).to_be_visible()
    expect(tab.locator("#errors")).to_be_focused()
    tab.get_by_role("link", name="Encoding").press("Enter")
    expect(tab.get_by_label("Encoding")).to_be_focused()
    assert not Run.objects.exists()

    tab.get_by_label("Encoding").select_option("auto")
    button(tab, "Start").click()
    tab.wait_for_url("**/runs/*/")
    assert Run.objects.get().params["file"].endswith("cities.csv")


def test_an_error_in_a_file_is_shown_beside_its_field(
    tab: Page, sign_in: SignIn, form_flow: Workflow
) -> None:
    sign_in(tab.context)
    tab.goto("/start/every_kind/")
    tab.get_by_label("Title").fill("T")
    choose(tab, b"")

    button(tab, "Start").click()
    expect(tab.locator(".field").get_by_text("The submitted file is empty.")).to_be_visible()
    expect(tab.locator("#errors")).to_be_focused()
    expect(tab.get_by_label("File")).to_have_attribute("aria-invalid", "true")

    choose(tab)
    button(tab, "Start").click()
    tab.wait_for_url("**/runs/*/")


def test_a_form_that_comes_back_can_be_sent_again(tab: Page, sign_in: SignIn) -> None:
    sign_in(tab.context)
    tab.goto("/start/csv_profile/")
    choose(tab)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.route("**/start/csv_profile/", hold)
    button(tab, "Start").click()
    expect(button(tab, "Start")).to_be_disabled()

    # As after Back from the browser's page cache, which is off in this test.
    tab.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")

    expect(button(tab, "Start")).to_be_enabled()
    expect(tab.get_by_role("progressbar")).to_be_hidden()


def test_an_upload_that_is_cut_off_says_so(tab: Page, sign_in: SignIn) -> None:
    sign_in(tab.context)
    tab.goto("/start/csv_profile/")
    choose(tab)
    tab.context.set_offline(True)
    button(tab, "Start").click()
    expect(tab.get_by_text("The upload was cut off.")).to_be_visible()

    tab.context.set_offline(False)
    button(tab, "Start").click()
    tab.wait_for_url("**/runs/*/")


class Server:
    """The web process of production, on the tests' database."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
        }
        command = ["-m", "gunicorn", "mainproj.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--worker-class", "gthread", "--log-level", "warning", "--no-control-socket"]
        self.process = subprocess.Popen([sys.executable, *command], env=environ)
        until("an answer of the server", self._answers)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
            self.process = None


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


def test_a_server_that_is_away_for_20_seconds(
    chromium: Browser, server: Server, owner: User, worker: Worker, gate: Gate, client: Any
) -> None:
    run = workflows.gate.start(owner=owner, gate=gate.name)
    gate.reached()
    client.force_login(owner)
    with Watched(chromium, server.url) as window:
        session = client.cookies["sessionid"].value
        window.add_cookies([{"name": "sessionid", "value": session, "url": server.url}])
        tab = window.new_page()
        tab.goto(f"{server.url}/runs/{run.pk}/")
        bar_at(tab, 15, "gate")

        server.stop()
        stopped = time.monotonic()
        expect(tab.get_by_text("reconnecting")).to_be_visible(timeout=15_000)
        gate.open()
        until("the run's end", lambda: Run.objects.get(pk=run.pk).ended)
        until("20 s", lambda: time.monotonic() - stopped > DOWNTIME)
        expect(tab.get_by_text("reconnecting")).to_be_visible()
        bar_at(tab, 15, "gate")
        server.start()

        expect(part(tab, "state")).to_have_text("done", timeout=20_000)
        bar_at(tab, 100, "gate")
        expect(tab.get_by_text("reconnecting")).to_be_hidden()


def test_session_and_token_side_by_side(
    open_page: OpenPage,
    tab: Page,
    sign_in: SignIn,
    owner: User,
    other: User,
    start_worker: StartWorker,
    gate: Gate,
) -> None:
    start_worker("-P", "threads", "-c", "2")
    mine = workflows.gate.start(owner=owner, gate=gate.name)
    theirs = workflows.gate.start(owner=other, gate=gate.name)
    for _ in range(2):
        gate.reached()
    sign_in(tab.context)
    token = Token.objects.create(user=other).key
    open_page(
        SCRIPT + element(mine, 'label="mine"') + element(theirs, f'label="theirs" token="{token}"')
    )

    for name in ("mine", "theirs"):
        bar_at(tab, 15, name)
    for _ in range(2):
        gate.open()
    for name in ("mine", "theirs"):
        bar_at(tab, 100, name)
