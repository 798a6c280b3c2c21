"""docs/architecture.md names packages and ways through the code: they are as it says."""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from children import host
from parent.messages.publish import attempt_header, publishing_off
from parent.models import Run, Step
from parent.store import leases
from parent.watch.tick import Ticker
from tests.test_imports import APPS, ROOT

TEXT = (ROOT / "docs/architecture.md").read_text()
PLACE = re.compile(r"^\d+\. `(?P<file>[\w/]+\.py)` `(?P<name>[\w.]+)`", re.M)

Place = tuple[str, str]
"""A file, and the qualified name of a function in it."""


def walk(title: str) -> list[Place]:
    section = TEXT.split(f"### {title}\n")[1].split("\n#")[0]
    return [(match["file"], match["name"]) for match in PLACE.finditer(section)]


REPORT = walk("A progress value, from the body to the browser")
START = walk("A POST, to the first child's body")
END = walk("The end of a child, to the start of the next")


def functions(file: str) -> set[str]:
    def names(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield prefix + node.name
                yield from names(node.body, f"{prefix}{node.name}.")

    return set(names(ast.parse((ROOT / file).read_text()).body))


@pytest.mark.parametrize(("file", "name"), [*REPORT, *START, *END])
def test_each_place_is_there(file: str, name: str) -> None:
    assert name in functions(file)


def packages() -> set[str]:
    folders = {path.parent for app in APPS for path in (ROOT / app).rglob("__init__.py")}
    no_code = {"migrations", "management", "commands", "templatetags"}
    return {f"{path.relative_to(ROOT)}/" for path in folders if path.name not in no_code}


def test_the_table_has_every_package_but_its_small_ones() -> None:
    listed = set(re.findall(r"^\| `([\w/]+/)` \|", TEXT, re.M))

    assert listed == {name for name in packages() if "doctor" not in name}


@pytest.mark.parametrize("package", sorted(packages()))
def test_each_package_says_in_its_first_line_what_it_is(package: str) -> None:
    says = ast.get_docstring(ast.parse(Path(ROOT, package, "__init__.py").read_text()))

    assert says
    assert says.splitlines()[0].endswith(".")


@contextmanager
def calls() -> Iterator[list[Place]]:
    """The functions of the apps that this thread calls, in order."""
    seen: list[Place] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOT):
            seen.append((str(file.relative_to(ROOT)), frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def assert_in_order(places: Sequence[Place], seen: Sequence[Place]) -> None:
    rest = iter(seen)
    for place in places:
        assert place in rest, f"{place} is not called, or not after those before it"


@pytest.fixture
def client(db: None) -> APIClient:
    client = APIClient()
    client.force_login(User.objects.create_user("somebody"))
    return client


@pytest.fixture
def started(client: APIClient) -> Callable[[], Run]:
    def start() -> Run:
        answer = client.post("/workflows/main_flow/", {"limit": 1}, format="json")
        return Run.objects.get(pk=answer.json()["task_id"])

    return start


@pytest.fixture(autouse=True)
def _no_message_is_sent() -> Iterator[None]:
    with publishing_off():
        yield


def deliver(run: Run) -> None:
    """What a worker does with the message of the run's queued step, in this thread."""
    step = Step.objects.select_related("run").get(run=run, state="QUEUED")
    headers = {host.HEADER: attempt_header(step)}
    current_app.tasks[step.task].apply(
        kwargs=step.kwargs,
        task_id=step.task_id,
        headers=headers,  # type: ignore[arg-type]
        throw=True,
    )


def test_a_post_goes_the_way_that_is_told(
    started: Callable[[], Run], django_capture_on_commit_callbacks: Any
) -> None:
    with calls() as seen, django_capture_on_commit_callbacks(execute=True):
        run = started()
    with calls() as then:
        deliver(run)

    assert_in_order(START, [*seen, *then])


def test_an_end_goes_the_way_that_is_told(
    started: Callable[[], Run], django_capture_on_commit_callbacks: Any
) -> None:
    run = started()

    with calls() as seen, django_capture_on_commit_callbacks(execute=True):
        deliver(run)

    assert_in_order(END, seen)


def test_a_report_goes_the_way_that_is_told(
    client: APIClient, started: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_this", None)  # and back, when the test ends
    leases.renew_heartbeat(executor := leases.assign_executor_id())
    ticker = Ticker(executor)
    while not ticker.tick():
        pass
    run = started()

    with calls() as seen:
        deliver_until_its_report(run)
        ticker.tick()
        client.get(f"/tasks/{run.pk}/")

    assert_in_order(REPORT, seen)


def deliver_until_its_report(run: Run) -> None:
    """Have the run's queued step report, and not end."""
    from children.progress import Progress

    step = Step.objects.select_related("run").get(run=run, state="QUEUED")
    engine = host.current()
    assert engine is not None
    header = attempt_header(step)
    attempt = engine.claim(str(step.task_id), header, inline=True)
    assert attempt is not None
    progress = Progress(attempt.report, interval=0)
    progress.update(1, 3)
    progress.update(2, 3)
