"""The page of a run in a real browser: a run with a thousand steps, and one with many items.

When it loads: first paint, the longest task of its main thread, and how much it shifts
(https://web.dev/cls). While nothing changes: the bytes that it fetches.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, sync_playwright

from bench.environment import clear
from bench.figure import Figure, Skipped
from bench.flows.workflows import mapped_alone
from bench.polling import QUIET, signed_in
from bench.web import serving
from parent.messages.publish import publishing_off
from parent.models import Executor, Run, Step, StepState
from parent.store import leases
from tests.browser.chromium import HOW_TO_INSTALL, find

__all__ = ["figures"]

STEPS, ITEMS = 1_000, 10_000
OBSERVE = """
window.shift = 0; window.longest = 0;
function observe(type, note) {
  const observer = new PerformanceObserver((list) => list.getEntries().forEach(note));
  observer.observe({ type, buffered: true });
}
observe("layout-shift", (entry) => { if (!entry.hadRecentInput) window.shift += entry.value; });
observe("longtask", (entry) => { window.longest = Math.max(window.longest, entry.duration); });
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
BAR = "task-progress [role=progressbar]"


def figures(*, quick: bool) -> Iterator[Figure | Skipped]:
    path = find()
    if path is None:
        yield Skipped(name="pages", reason=HOW_TO_INSTALL)
        return
    seconds = 20 if quick else 60
    try:
        cookie = signed_in()
        owner = User.objects.get()
        runs = {
            f"a page of {STEPS:,} steps": with_steps(owner, STEPS),
            f"a page of {ITEMS:,} items": with_items(owner, ITEMS),
        }
        leases.renew_heartbeat(uuid4())  # or the page says that no worker is there
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            serving(Path(folder)) as (_pid, port),
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            for name, run in runs.items():
                yield from of_page(browser, f"http://127.0.0.1:{port}", cookie, name, run, seconds)
            browser.close()
    finally:
        clear()
        Executor.objects.all().delete()
        User.objects.all().delete()


def of_page(
    browser: Browser, origin: str, cookie: str, name: str, run: Run, seconds: int
) -> Iterator[Figure]:
    key, _, value = cookie.partition("=")
    with browser.new_context(base_url=origin) as window:
        window.add_cookies([{"name": key, "value": value, "url": origin}])
        window.add_init_script(OBSERVE)
        page = window.new_page()
        page.goto(f"/runs/{run.pk}/")  # once before: the scripts are cached
        page.locator(BAR).first.wait_for()
        page.goto(f"/runs/{run.pk}/")
        page.locator(BAR).first.wait_for()
        page.wait_for_timeout(2_000)
        painted, longest, shift = page.evaluate(f"[{PAINTED}, window.longest, window.shift]")
        received = bytes_in(page, seconds)
    yield Figure(
        name=f"{name}, first paint",
        ours=f"{painted:.0f} ms",
        other="wanted under 1 s",
        value=painted / 1000,
        at_most=1,
    )
    yield Figure(
        name="  the longest task of its script",
        ours=f"{longest:.0f} ms" if longest else "under 50 ms",
        other="wanted under 100 ms",
        value=longest / 100,
        at_most=1,
    )
    yield Figure(
        name="  layout shift (CLS)", ours=f"{shift:.3f}", other="", value=shift, at_most=0.05
    )
    yield Figure(
        name="  a minute without changes",
        ours=f"{received * 60 / seconds / 1000:.1f} kB",
        other="wanted under 30 kB",
        value=received * 60 / seconds / 30_000,
        at_most=1,
    )


def bytes_in(page: Page, seconds: int) -> float:
    """What comes over the network in so many seconds."""
    sizes: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.wait_for_timeout(seconds * 1000)
    return sum(sizes)


def with_steps(owner: User, count: int) -> Run:
    """A run with so many steps side by side: some failed, some running, the others queued."""
    now = timezone.now() - QUIET
    run = Run.objects.create(workflow="polled", owner=owner, state="PROGRESS", completion=20.0)
    Run.objects.filter(pk=run.pk).update(created_at=now, started_at=now)
    states = [StepState.ERROR] * 2 + [StepState.RUNNING] * 5
    Step.objects.bulk_create(
        Step(
            run=run,
            index=index,
            name=f"step_{index}",
            task="polled",
            state=state,
            attempt=1,
            task_id=str(uuid4()),
            completion=0.0 if state == StepState.QUEUED else 40.0,
            queued_at=now,
            started_at=None if state == StepState.QUEUED else now,
            finished_at=now if state == StepState.ERROR else None,
            error="no paper" if state == StepState.ERROR else None,
        )
        for index, state in enumerate([*states, *[StepState.QUEUED] * (count - len(states))])
    )
    return run


def with_items(owner: User, count: int) -> Run:
    with publishing_off():
        return mapped_alone.start(owner=owner, items=count)
