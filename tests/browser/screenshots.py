"""Take screenshots of the pages of a real `make up`: light and dark, wide and narrow.

`python -m tests.browser.screenshots FOLDER`
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.browser.chromium import HOW_TO_INSTALL, find
from tests.quickstart.machines import Machine

WIDTHS = {"wide": 1280, "narrow": 360}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HALF_WAY = 72  # per cent
LIMIT = 500
"""Blocks of the run that is shown running: it must run longer than the screenshots take."""


def main(folder: Path) -> None:
    path = find()
    if path is None:
        sys.exit(HOW_TO_INSTALL)
    folder.mkdir(parents=True, exist_ok=True)
    with up() as machine, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        window = browser.new_context(base_url=f"http://127.0.0.1:{machine.port}")
        window.set_default_timeout(60_000)
        take(window, folder, "login", "/login/")
        page = window.new_page()
        page.goto(machine.login_link)
        for name, address, ready in scenes(page):
            take(window, folder, name, address, ready)
        browser.close()


@contextmanager
def up() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder) / "data")
        try:
            yield machine.wait_until_ready()
            machine.stop()
        finally:
            machine.destroy()


def scenes(page: Page) -> Iterator[tuple[str, str, Callable[[Page], None]]]:
    """Name and address of each page, and a function that waits until the page is ready."""
    data = Path(settings.BASE_DIR) / "examples/csv_profile/data/time_zones.csv"
    done = upload(page, "time_zones.csv", data.read_bytes())
    ended(page)
    failed = upload(page, "notes.csv", b"\xff\xfe\x00,\n")
    ended(page)
    compute(page, limit=20)
    ended(page)
    compute(page, limit=LIMIT)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    ended(page)
    yield "start", "/", heading
    yield "form", "/start/csv_profile/", heading
    running = compute(page, limit=LIMIT)
    bar = page.get_by_role("progressbar", name="main_flow", exact=True)
    while int(bar.get_attribute("aria-valuenow") or 0) < HALF_WAY:
        page.wait_for_event("response")
    yield "run", running, followed
    yield "runs", "/runs/", followed
    yield "run-done", done, ended
    yield "run-failed", failed, ended
    yield "log", f"{done}log/", heading
    yield "workers", "/workers/", heading


def upload(page: Page, name: str, content: bytes) -> str:
    page.goto("/start/csv_profile/")
    file: Any = {"name": name, "mimeType": "text/csv", "buffer": content}
    page.get_by_label("File").set_input_files([file])
    return started(page)


def compute(page: Page, limit: int) -> str:
    page.goto("/start/main_flow/")
    page.get_by_label("Limit").fill(str(limit))
    return started(page)


def started(page: Page) -> str:
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/runs/*/")
    return page.url


def heading(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def followed(page: Page) -> None:
    expect(page.locator("task-progress [part=bar]").first).to_be_visible()


def ended(page: Page) -> None:
    state = page.locator("task-progress [part=state]").first
    expect(state).to_have_text(re.compile("done|failed|cancelled"), timeout=60_000)


def take(
    window: BrowserContext,
    folder: Path,
    name: str,
    address: str,
    ready: Callable[[Page], None] = heading,
) -> None:
    for scheme, (size, width) in product(SCHEMES, WIDTHS.items()):
        page = window.new_page()
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        ready(page)
        page.screenshot(path=folder / f"{name}-{scheme}-{size}.png", full_page=True)
        page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
