"""Runs inside of a run, over HTTP, on the pages, on the command line and in the admin."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from monitor.ops.metrics import _queues
from parent import Step, Workflow
from parent.definition.workflow import registry
from parent.models import Run
from parent.models import Step as StepRow
from parent.runs.cancel import cancel
from parent.runs.endings import end_run
from parent.runs.start import start
from tests.flows import tasks

Api = Callable[[User | None], APIClient]


@pytest.fixture
def outer() -> Iterator[Workflow]:
    before = dict(registry._workflows)
    inner = Workflow("inner", steps=[Step(tasks.noop)])
    yield Workflow("outer", steps=[Step(inner, title="The inner one"), Step(tasks.noop)])
    registry._workflows.clear()
    registry._workflows.update(before)


@pytest.fixture
def run(outer: Workflow, owner: User) -> Run:
    return start(outer, {}, owner=owner)


def child_of(run: Run) -> Run:
    return Run.objects.get(parent_run=run)


def text(response: Any) -> str:
    return str(response.content.decode())


def test_the_status_leads_down_and_up(run: Run, owner: User, api: Api) -> None:
    client, child = api(owner), child_of(run)

    status = client.get(f"/tasks/{run.pk}/").json()
    inside = client.get(f"/tasks/{child.pk}/").json()

    assert [step["run_id"] for step in status["steps"]] == [str(child.pk), None]
    assert (status["run_id"], status["parent_run_id"]) == (str(run.pk), None)
    assert (inside["run_id"], inside["parent_run_id"]) == (str(child.pk), str(run.pk))
    assert child.owner == owner


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("wrap: 3 of 10", "Wrap it: 3 of 10"),
        ("wrap", "Wrap it"),
        ("wrap: wrap: 3", "Wrap it: wrap: 3"),
        ("unknown: 3 of 10", "unknown: 3 of 10"),
    ],
)
def test_messages_from_inside_have_titles(owner: User, api: Api, said: str, shown: str) -> None:
    inner = Workflow("packing", steps=[Step(tasks.noop, name="wrap", title="Wrap it")])
    run = start(
        Workflow("shop", steps=[Step(inner, name="pack", title="Pack it")]), {}, owner=owner
    )
    run.steps.update(message=said)
    Run.objects.filter(pk=run.pk).update(message=f"pack: {said}")

    status = api(owner).get(f"/tasks/{run.pk}/").json()

    assert status["steps"][0]["message"] == shown
    assert status["message"] == f"Pack it: {shown}"


def test_a_poll_takes_child_runs_and_children_together(run: Run, owner: User, api: Api) -> None:
    child = child_of(run)
    noop = StepRow.objects.get(run=child)
    ids = [str(child.pk), str(run.pk), str(noop.task_id)]

    with CaptureQueriesContext(connection) as with_child:
        answer = api(owner).get("/tasks/", {"ids": ",".join(ids)})
    with CaptureQueriesContext(connection) as without:
        api(owner).get("/tasks/", {"ids": ids[1]})

    assert [task["task_id"] for task in answer.json()["results"]] == ids
    assert len(with_child) == len(without)


def test_the_step_has_an_id_of_its_own(run: Run, owner: User, api: Api) -> None:
    step = StepRow.objects.get(run=run, name="inner")

    status = api(owner).get(f"/tasks/{step.task_id}/").json()

    assert (status["title"], status["run_id"]) == ("The inner one", str(run.pk))


@pytest.mark.parametrize(
    ("query", "depths"),
    [
        ({}, [0]),
        ({"child_runs": "false"}, [0]),
        ({"child_runs": "true"}, [0, 1]),
        ({"child_runs": "true", "workflow": "inner"}, [1]),
        ({"workflow": "inner"}, []),
    ],
)
def test_the_list_has_child_runs_on_request(
    run: Run, owner: User, api: Api, query: dict[str, str], depths: list[int]
) -> None:
    found = api(owner).get("/tasks/", query).json()["results"]

    ids = [task["task_id"] for task in found]
    assert sorted(Run.objects.filter(pk__in=ids).values_list("depth", flat=True)) == depths


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"child_runs": "odd"}, "child_runs"),
        ({"child_runs": "true", "ids": str(uuid4())}, "child_runs"),
    ],
)
def test_a_bad_query_names_its_field(
    owner: User, api: Api, query: dict[str, str], field: str
) -> None:
    answer = api(owner).get("/tasks/", query)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_a_child_run_is_not_deleted_by_itself(run: Run, owner: User, api: Api) -> None:
    child = child_of(run)
    end_run(run.pk, "too late")

    answer = api(owner).delete(f"/tasks/{child.pk}/")

    assert answer.status_code == 409
    assert str(run.pk) in answer.json()["detail"]
    assert api(owner).delete(f"/tasks/{run.pk}/").status_code == 204
    assert not Run.objects.exists()


def test_a_child_run_is_not_retried_by_itself(run: Run, owner: User, api: Api) -> None:
    child = child_of(run)
    end_run(run.pk, "too late")

    answer = api(owner).post(f"/tasks/{child.pk}/retry/")

    assert answer.status_code == 409
    assert str(run.pk) in answer.json()["detail"]
    assert api(owner).post(f"/tasks/{run.pk}/retry/").status_code == 202
    child.refresh_from_db()
    assert not child.ended


def test_the_catalogue_says_which_step_is_a_workflow(
    outer: Workflow, owner: User, api: Api
) -> None:
    found = {each["name"]: each for each in api(owner).get("/workflows/").json()}

    assert [step["workflow"] for step in found["outer"]["steps"]] == ["inner", None]


def test_the_page_has_the_runs_inside_and_the_run_around(
    run: Run, owner: User, client: Client
) -> None:
    client.force_login(owner)
    child = child_of(run)

    page, inside = text(client.get(f"/runs/{run.pk}/")), text(client.get(f"/runs/{child.pk}/"))

    assert f'data-src="/tasks/{child.pk}/"' in page
    assert f'<a href="/runs/{child.pk}/">' in page
    assert f'<a href="/runs/{run.pk}/">' in inside
    assert "Runs inside" not in inside


@pytest.mark.parametrize(("query", "shown"), [("", False), ("?child_runs=on", True)])
def test_the_page_of_runs_has_roots(
    run: Run, owner: User, client: Client, query: str, shown: bool
) -> None:
    client.force_login(owner)

    page = text(client.get(f"/runs/{query}"))

    assert f"/runs/{run.pk}/" in page
    assert (f"/runs/{child_of(run).pk}/" in page) == shown


def test_the_search_finds_child_runs(run: Run, owner: User, client: Client) -> None:
    client.force_login(owner)
    child = child_of(run)

    assert f"/runs/{child.pk}/" in text(client.get("/runs/", {"q": str(child.pk)}))


def test_a_child_run_has_no_buttons_that_are_refused(run: Run, owner: User, client: Client) -> None:
    client.force_login(owner)
    child = child_of(run)
    cancel(run.pk)

    page = text(client.get(f"/runs/{child.pk}/"))

    assert f"/runs/{child.pk}/delete/" not in page
    assert f"/runs/{child.pk}/retry/" not in page
    answer = client.post(f"/runs/{child.pk}/delete/", follow=True)
    assert str(run.pk) in text(answer)
    assert Run.objects.filter(pk=child.pk).exists()


def test_the_admin_leads_from_the_step_to_its_run(run: Run, admin_client: Client) -> None:
    child = child_of(run)
    step = StepRow.objects.get(run=run, name="inner")

    page = text(admin_client.get(f"/admin/parent/step/{step.pk}/change/"))
    inside = text(admin_client.get(f"/admin/parent/run/{child.pk}/change/"))

    assert f"/admin/parent/run/{child.pk}/change/" in page
    assert f"/admin/parent/run/{run.pk}/change/" in inside


@pytest.mark.django_db
def test_the_command_says_which_step_is_a_workflow(outer: Workflow, capsys: Any) -> None:
    call_command("workflow", "list")

    assert "inner (a run of inner), noop" in capsys.readouterr().out


def test_the_metrics_count_what_is_in_queues(run: Run) -> None:
    [steps, _] = _queues()

    assert [(each.labels["state"], each.value) for each in steps.samples] == [("QUEUED", 1.0)]
