"""Items that are child runs, over HTTP, on the pages, on the command line and in the admin."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient
from rich.console import Console

from monitor.ops.metrics import _queues
from parent import Map, Step, Workflow
from parent.definition.workflow import registry
from parent.management.console import bars
from parent.management.snapshot import snapshots
from parent.models import Item, Run
from parent.models import Step as StepRow
from parent.runs.endings import end_run
from parent.runs.items.child_runs import end_item_run, open_child_runs
from parent.runs.start import start
from tests.flows import tasks

Api = Callable[[User | None], APIClient]


@pytest.fixture
def outer() -> Iterator[Workflow]:
    before = dict(registry._workflows)
    inner = Workflow("inner", steps=[Step(tasks.noop)])
    yield Workflow(
        "outer", steps=[Map(inner, name="each", over=lambda _: [{}] * 3, max_active=2, tolerate=1)]
    )
    registry._workflows.clear()
    registry._workflows.update(before)


@pytest.fixture
def run(outer: Workflow, owner: User) -> Run:
    return begin(outer, owner)


def begin(workflow: Workflow, owner: User) -> Run:
    run = start(workflow, {}, owner=owner)
    open_child_runs(StepRow.objects.get(run=run).pk)
    return run


def wide(number: int) -> Workflow:
    """A workflow with so many items."""
    each = Map("parent.inner", name="each", over=lambda _: [{}] * number)
    return Workflow(f"of-{number}", steps=[each])


def children_of(run: Run) -> list[Run]:
    items = Item.objects.filter(step__run=run, child_run_id__isnull=False).order_by("index")
    return [Run.objects.get(pk=str(item.child_run_id)) for item in items]


@pytest.fixture
def with_failed(run: Run) -> Run:
    """Of its three items the first has failed; the others run."""
    [child, _] = children_of(run)
    end_run(child.pk, "Error in noop: <bad>")
    end_item_run(child.pk)
    return run


def text(response: Any) -> str:
    return str(response.content.decode())


def test_an_item_leads_to_its_run(with_failed: Run, owner: User, api: Api) -> None:
    client, children = api(owner), children_of(with_failed)

    found = client.get(f"/tasks/{with_failed.pk}/steps/each/items/").json()["results"]

    assert [item["run_id"] for item in found] == [str(child.pk) for child in children]
    assert [item["state"] for item in found] == ["failed", "running", "running"]
    assert found[0]["error"] == "Error in each[0]: noop: <bad>"
    inside = client.get(f"/tasks/{found[1]['run_id']}/").json()
    assert (inside["workflow"], inside["parent_run_id"]) == ("inner", str(with_failed.pk))


def test_an_item_that_waits_has_no_run(run: Run, owner: User, api: Api) -> None:
    answer = api(owner).get(f"/tasks/{run.pk}/steps/each/items/", {"state": "waiting"})

    assert [item["run_id"] for item in answer.json()["results"]] == [None]


def test_the_status_has_the_counters_and_no_item(with_failed: Run, owner: User, api: Api) -> None:
    StepRow.objects.get(run=with_failed)
    [step] = api(owner).get(f"/tasks/{with_failed.pk}/").json()["steps"]

    assert step["items"]["total"] == 3
    assert step["run_id"] is None


def test_a_poll_costs_the_same_for_any_number_of_items(
    outer: Workflow, owner: User, api: Api
) -> None:
    client, taken = api(owner), []
    for number in (2, 60):
        run = begin(wide(number), owner)
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/tasks/{run.pk}/")
        taken.append(len(queries))

    assert taken[0] == taken[1]


def test_the_pages_lead_to_the_runs_of_the_items(
    with_failed: Run, owner: User, client: Client
) -> None:
    client.force_login(owner)
    StepRow.objects.filter(run=with_failed).update(
        items={"total": 3, "waiting": 0, "queued": 0, "running": 2, "ok": 0, "failed": 1}
        | {"skipped": 0, "cancelled": 0}
    )
    first, second, third = children_of(with_failed)

    page = text(client.get(f"/runs/{with_failed.pk}/"))
    failed = text(client.get(f"/runs/{with_failed.pk}/steps/each/failed/"))
    every = text(client.get(f"/runs/{with_failed.pk}/steps/each/items/"))

    assert f'<a href="/runs/{first.pk}/">' in page
    assert f'<a href="/runs/{with_failed.pk}/steps/each/items/">' in page
    assert f"/runs/{second.pk}/" not in page + failed
    assert f"/runs/{first.pk}/" in failed
    assert all(f'<a href="/runs/{child.pk}/">' in every for child in (first, second, third))
    assert "noop: &lt;bad&gt;" in every
    assert f'<a href="/runs/{with_failed.pk}/">' in text(client.get(f"/runs/{second.pk}/"))


def test_all_items_are_in_pages(outer: Workflow, owner: User, client: Client) -> None:
    client.force_login(owner)
    run = begin(wide(120), owner)
    where = f"/runs/{run.pk}/steps/each/items/"

    pages = [text(client.get(where + query)) for query in ("", "?after=99")]

    assert [page.count("<li data-key=") for page in pages] == [50, 20]
    assert 'href="?after=49"' in pages[0]
    assert 'href="?"' in pages[1]


def test_the_runs_of_items_are_not_among_the_runs(run: Run, owner: User, api: Api) -> None:
    client = api(owner)

    assert len(client.get("/tasks/").json()["results"]) == 1
    assert len(client.get("/tasks/", {"child_runs": "true"}).json()["results"]) == 3


@pytest.mark.parametrize(("method", "path"), [("delete", ""), ("post", "retry/")])
def test_the_run_of_an_item_is_neither_deleted_nor_retried_by_itself(
    run: Run, owner: User, api: Api, method: str, path: str
) -> None:
    child = children_of(run)[0]
    end_run(child.pk, "bad")

    answer = getattr(api(owner), method)(f"/tasks/{child.pk}/{path}")

    assert answer.status_code == 409
    assert str(run.pk) in answer.json()["detail"]


def test_a_cancel_over_http_goes_down(run: Run, owner: User, api: Api) -> None:
    assert api(owner).post(f"/tasks/{run.pk}/cancel/").status_code == 202

    assert all(child.cancel_requested_at for child in children_of(run))


def test_the_catalogue_says_that_each_item_is_a_run(
    outer: Workflow, owner: User, api: Api, capsys: Any
) -> None:
    found = {each["name"]: each for each in api(owner).get("/workflows/").json()}
    call_command("workflow", "list")

    [step] = found["outer"]["steps"]
    assert (step["mapped"], step["workflow"]) == (True, "inner")
    assert "each (for each of many items; a run of inner)" in capsys.readouterr().out


def test_the_terminal_shows_the_runs_that_go_on(with_failed: Run) -> None:
    console = Console(file=StringIO(), width=120)

    snapshot = next(snapshots(with_failed.pk))
    console.print(bars(snapshot))

    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "each[1]" in shown
    assert "each[2]" in shown
    assert "each[0]" not in shown
    assert shown.count("    noop") == 2


def test_the_terminal_shows_few_of_many_runs(outer: Workflow, owner: User) -> None:
    run = begin(wide(30), owner)

    snapshot = next(snapshots(run.pk))

    assert [len(items) for items in snapshot.items.values()] == [5]
    assert len(snapshot.inner) == 5


def test_the_admin_leads_from_the_step_to_the_runs_of_its_items(
    run: Run, admin_client: Client
) -> None:
    step = StepRow.objects.get(run=run, name="each")

    page = text(admin_client.get(f"/admin/parent/step/{step.pk}/change/"))
    where = f"/admin/parent/run/?parent_run__id__exact={run.pk}"
    runs = text(admin_client.get(where))

    assert f'href="{where}"' in page
    assert all(str(child.pk) in runs for child in children_of(run))


def test_the_metrics_count_the_children_and_not_the_runs(run: Run) -> None:
    [steps, _] = _queues()

    assert [(each.labels["state"], each.value) for each in steps.samples] == [("QUEUED", 2.0)]
