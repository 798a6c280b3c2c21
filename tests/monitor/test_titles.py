"""The titles that people see instead of the names of workflows and steps."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from django.utils.functional import lazystr
from rest_framework.test import APIClient

from examples.main_flow.tasks import func_1
from monitor.pages.listing.filter import RunFilter
from monitor.pages.run_views import tab_title
from monitor.runs.titles import step_titles, titles_with, with_title, workflow_title
from parent.definition.workflow import Step, Workflow, registry
from parent.models import Run

MakeRun = Callable[..., Run]
PAGES = ["/", "/start/titled/", "/runs/"]


@cache
def titled_flow() -> Workflow:
    return Workflow(
        "titled",
        title="Yearly <report>",
        steps=[
            Step(func_1, title="Count the primes", inputs=lambda _: {"limit": 1}),
            Step(func_1, name="func_2", inputs=lambda _: {"limit": 1}),
        ],
    )


@pytest.fixture(autouse=True)
def titled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workflow]:
    """A workflow with titles, registered for one test."""
    known = {workflow.name: workflow for workflow in registry.workflows()}
    monkeypatch.setattr(registry, "_workflows", {**known, "titled": titled_flow()})
    yield titled_flow()
    monkeypatch.undo()
    registry._workflows.pop("titled", None)


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize(
    ("workflow", "title", "steps"),
    [
        ("titled", "Yearly <report>", {"func_1": "Count the primes", "func_2": "func_2"}),
        ("noops", "noops", {"first": "first", "gone": "gone"}),
        ("unknown", "unknown", {"func_1": "func_1"}),
    ],
)
def test_what_has_no_title_is_called_by_its_name(
    workflow: str, title: str, steps: dict[str, str]
) -> None:
    assert workflow_title(workflow) == title
    assert step_titles(workflow, steps) == steps


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("func_1: 4 of 10", "Count the primes: 4 of 10"),
        ("func_1: a: b", "Count the primes: a: b"),
        ("func_1", "Count the primes"),
        ("func_2: 4 of 10", "func_2: 4 of 10"),
        ("cancelled", "cancelled"),
        ("", ""),
    ],
)
def test_a_runs_message_begins_with_the_title_of_its_step(message: str, shown: str) -> None:
    assert with_title("titled", message) == shown
    assert with_title("unknown", message) == message


def test_a_title_may_be_translated() -> None:
    title: Any = lazystr("Bericht")

    assert json.dumps(Step(func_1, title=title).shown_title) == '"Bericht"'


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_show_the_title_of_a_workflow(
    signed_in: Client, owner: User, make_run: MakeRun, path: str
) -> None:
    make_run(owner, workflow="titled")

    page = text(signed_in.get(path))

    assert "Yearly &lt;report&gt;" in page
    assert ">titled<" not in page


def test_a_runs_page_shows_titles_and_the_timeline_the_names_as_well(
    signed_in: Client, owner: User, make_run: MakeRun
) -> None:
    run = make_run(owner, workflow="titled")

    page = text(signed_in.get(f"/runs/{run.pk}/"))

    assert "<h1>Yearly &lt;report&gt;</h1>" in page
    assert 'label="Yearly &lt;report&gt;"' in page
    assert "<title>20 % Yearly &lt;report&gt;</title>" in page
    assert "<b>Count the primes</b>" in page
    assert 'aria-label="Progress of Count the primes"' in page
    assert "Count the primes: 4 of 10" in page
    assert 'Count the primes <code class="muted">func_1</code>' in page
    assert "waits for Count the primes" in page


def test_the_api_has_names_and_titles(
    owner: User, api: Callable[..., APIClient], make_run: MakeRun
) -> None:
    run, client = make_run(owner, workflow="titled"), api(owner)
    child = run.steps.get(name="func_1")

    (entry,) = (each for each in client.get("/workflows/").json() if each["name"] == "titled")
    status = client.get(f"/tasks/{run.pk}/").json()
    (listed,) = client.get("/tasks/").json()["results"]
    of_child = client.get(f"/tasks/{child.task_id}/").json()

    names = [("func_1", "Count the primes"), ("func_2", "func_2")]
    assert entry["title"] == "Yearly <report>"
    assert [(step["name"], step["title"]) for step in entry["steps"]] == names
    for answer in (status, listed):
        assert (answer["workflow"], answer["title"]) == ("titled", "Yearly <report>")
        assert [(step["name"], step["title"]) for step in answer["steps"]] == names
    assert (of_child["workflow"], of_child["title"]) == ("titled", "Count the primes")
    assert tab_title(status) == "20 % Yearly <report>"


def test_a_run_is_found_by_the_title_of_its_workflow(owner: User, make_run: MakeRun) -> None:
    found = make_run(owner, workflow="titled")
    make_run(owner)

    wanted = RunFilter(QueryDict("q=yearly"), workflows=["titled"])
    field: Any = wanted.fields["workflow"]

    assert titles_with("YEARLY") == ["titled"]
    assert [run.pk for run in wanted.narrow(Run.objects.all())] == [found.pk]
    assert ("titled", "Yearly <report>") in field.choices
