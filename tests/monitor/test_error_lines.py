"""Errors of several lines: pages show the lines, and the title of the step; all else has one."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from children import Meta
from monitor.runs.titles import titled_error
from parent import Email, Map, RunData, Step, Workflow
from parent.inline import run_inline
from parent.models import Delivery, Run
from parent.notifications.email import message_for
from parent.runs.start import start
from tests.flows import tasks
from tests.monitor.runs import claimed, result_of

Api = Callable[[User | None], APIClient]
SAID = "Row 3: no <weight>\n\n  Row 9: no name\n"
LINES = "Row 3: no <weight>\nRow 9: no name"
ONE = LINES.replace("\n", " ")
ESCAPED = LINES.replace("<", "&lt;").replace(">", "&gt;")

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def run(owner: User) -> Run:
    """A failed run, whose step has a title."""
    notify = [Email(on=["failed"], to=["ops@example.com"])]
    step = Step(tasks.fails, title="Load the rows", inputs=lambda _: {"message": SAID})
    return run_inline(Workflow("loading", steps=[step], notify=notify), owner=owner)


def test_the_api_and_celery_have_one_line(run: Run, owner: User, api: Api) -> None:
    status = api(owner).get(f"/tasks/{run.pk}/").json()

    assert status["error"] == status["steps"][0]["error"] == f"Error in fails: {ONE}"
    assert "texts" not in status
    assert str(result_of(run.pk).result) == f"Error in fails: {ONE}"


@pytest.mark.parametrize(
    ("language", "shown"),
    [("en", f"Error in Load the rows: {LINES}"), ("de", f"Fehler in Load the rows: {LINES}")],
)
def test_pages_get_the_lines_live(
    run: Run, owner: User, api: Api, language: str, shown: str
) -> None:
    client = api(owner)
    one = client.get(f"/tasks/{run.pk}/?lang={language}").json()
    listed = client.get(f"/tasks/?ids={run.pk}&lang={language}").json()

    assert one["error"] == f"Error in fails: {ONE}"
    assert one["texts"][one["error"]] == listed["texts"][one["error"]] == shown


def test_pages_have_the_lines(run: Run, owner: User, client: Client) -> None:
    client.force_login(owner)

    page = client.get(f"/runs/{run.pk}/").content.decode()
    listed = client.get("/runs/").content.decode()

    assert page.count(f"Error in Load the rows: {ESCAPED}") == 1
    assert "Error in fails" not in page + listed
    assert f"Error in Load the rows: {ESCAPED}" in listed


def test_the_admin_has_the_lines(run: Run, admin_client: Client) -> None:
    shown = ESCAPED.replace("\n", "<br>")
    for row in (run, run.steps.get()):
        page = reverse(f"admin:parent_{row._meta.model_name}_change", args=[row.pk])
        assert shown in admin_client.get(page).content.decode()


def test_an_earlier_attempt_has_the_lines(owner: User, client: Client) -> None:
    step = Step(tasks.noop, title="Load the rows", retries=1)
    run = start(Workflow("again", steps=[step]), {}, owner=owner)
    failed = Meta().failed(f"Error in noop: {SAID}")
    claimed(run, "noop").finish(failed, "", ValueError(SAID))
    client.force_login(owner)

    page = client.get(f"/runs/{run.pk}/").content.decode()
    message = run.steps.get().message

    assert f"<p>Error in Load the rows: {ESCAPED}</p>" in page
    assert message.endswith(ONE)


def test_failed_items_have_the_lines(owner: User, client: Client, api: Api) -> None:
    each = Map(tasks.fails, name="each", title="Each row", over=lambda _: [{"message": SAID}])
    run = run_inline(Workflow("rows", steps=[each]), owner=owner)
    client.force_login(owner)

    for address in ("", "steps/each/failed/"):
        page = client.get(f"/runs/{run.pk}/{address}").content.decode()
        assert f'<p class="error">{ESCAPED}</p>' in page
    assert f"Error in Each row: 1 of 1 items failed. Each row[0]: {ONE}" in (
        client.get(f"/runs/{run.pk}/").content.decode().replace("&lt;", "<").replace("&gt;", ">")
    )
    items = api(owner).get(f"/tasks/{run.pk}/steps/each/items/").json()
    assert items["results"][0]["error"] == f"Error in each[0]: {ONE}"


def test_an_email_has_the_lines(run: Run) -> None:
    message = message_for(Delivery.objects.get(), ["ops@example.com"])

    assert f"Error: Error in fails: {LINES}\n" in message.body
    assert "\n" not in message.subject
    assert ESCAPED.replace("\n", "<br>") in str(message.alternatives[0][0])


def test_commands_have_one_line(run: Run) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="Error in fails: Row 3: no <weight> Row 9: no name"):
        call_command("workflow", "watch", str(run.pk), stdout=out)


def test_authors_get_one_line(owner: User) -> None:
    got: list[Any] = []

    def clean(run: RunData) -> dict[str, Any]:
        got.append(run.errors)
        return {}

    broken = Step(tasks.fails, inputs=lambda _: {"message": SAID})
    after = Step(tasks.noop, after=["fails"], when="failed", inputs=clean)
    run_inline(Workflow("cleaned", steps=[broken, after]), owner=owner)

    assert got == [{"fails": f"Error in fails: {ONE}"}]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("Error in load: load: no", "Error in The load: load: no"),
        ("Error in the inputs of load: no", "Error in the inputs of The load: no"),
        ("Error in load[7]: no load", "Error in The load[7]: no load"),
        ("Error in load[a]b: c]: no", "Error in The load[a]b: c]: no"),
        ("load did not finish within 3 s", "The load did not finish within 3 s"),
        (
            "Error in load: 2 of 3 items failed. load[0]: no; load[1]: load",
            "Error in The load: 2 of 3 items failed. The load[0]: no; The load[1]: load",
        ),
        ("Error in pack: wrap: load: wrap", "Error in The pack: The wrap: load: wrap"),
        ("Error in pack: the inputs of wrap: no", "Error in The pack: the inputs of The wrap: no"),
        ("Error in pack: wrap did not start", "Error in The pack: The wrap did not start"),
        ("Error in pack: wrap: a\nwrap: b", "Error in The pack: The wrap: a\nwrap: b"),
        ("Error in loads: load", "Error in loads: load"),
        ("Error in other: load. load; load.", "Error in other: load. load; load."),
        ("Error in other: a\nload: b", "Error in other: a\nload: b"),
        ("", ""),
        ("load", "The load"),
    ],
)
def test_an_error_calls_its_steps_by_their_titles(error: str, shown: str) -> None:
    inner = Workflow("packing", steps=[Step(tasks.noop, name="wrap", title="The wrap")])
    load = Step(tasks.noop, name="load", title="The load")
    steps = [load, Step(inner, name="pack", title="The pack"), Step(tasks.noop, name="other")]
    Workflow("outer", steps=steps)

    assert titled_error(error, "outer") == shown
    assert titled_error(error, "unknown") == error
