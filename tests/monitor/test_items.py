"""The items of a mapped step over HTTP, and its counters in the status."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from monitor.api.requests import PAGE_SIZE
from monitor.runs.items import ITEM_STATES
from parent.models import Item, Run, Step

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]

COUNTS = dict.fromkeys(("total", *ITEM_STATES), 0)


def with_items(run: Run, count: int, **of_the_first: Any) -> Step:
    """Make the run's second step a mapped one, with so many waiting items."""
    step = run.steps.get(index=1)
    Step.objects.filter(pk=step.pk).update(
        state="RUNNING", task_id="a-map", chunk=1, items={**COUNTS, "total": count}
    )
    Item.objects.bulk_create(Item(step=step, index=n, key=f"no-{n}") for n in range(count))
    Item.objects.filter(step=step, index=0).update(**of_the_first or {"attempt": 0})
    return step


def address(run: Run, name: str = "func_2") -> str:
    return f"/tasks/{run.pk}/steps/{name}/items/"


def test_the_status_has_the_counters_of_mapped_steps_only(
    owner: User, api: Api, make_run: MakeRun
) -> None:
    run = make_run(owner)
    with_items(run, 3)

    steps = api(owner).get(f"/tasks/{run.pk}/").json()["steps"]

    assert [step["items"] for step in steps] == [None, {**COUNTS, "total": 3}]


def test_a_poll_reads_no_item(owner: User, api: Api, make_run: MakeRun) -> None:
    client, few, many = api(owner), make_run(owner), make_run(owner)
    with_items(few, 1)
    Step.objects.filter(task_id="a-map").update(task_id="another-map")
    with_items(many, 300)

    with CaptureQueriesContext(connection) as of_few:
        short = client.get(f"/tasks/{few.pk}/")
    with CaptureQueriesContext(connection) as of_many:
        long = client.get(f"/tasks/{many.pk}/")

    assert len(of_few) == len(of_many)
    assert not any("parent_item" in query["sql"] for query in of_many)
    assert abs(len(long.content) - len(short.content)) < 100


def test_items_come_in_pages_in_their_order(owner: User, api: Api, make_run: MakeRun) -> None:
    run = make_run(owner)
    with_items(run, 2 * PAGE_SIZE + 1)
    client, url, found = api(owner), address(run), []

    while url:
        page = client.get(url).json()
        found.append([item["index"] for item in page["results"]])
        url = page["next"]

    assert [len(part) for part in found] == [PAGE_SIZE, PAGE_SIZE, 1]
    assert [*chain(*found)] == [*range(2 * PAGE_SIZE + 1)]


def test_an_item_has_its_key_meta_error_and_attempt(
    owner: User, api: Api, make_run: MakeRun
) -> None:
    run = make_run(owner)
    with_items(run, 2, state="ERROR", attempt=2, error="Error in func_2[no-0]: bad", completion=40)

    page = api(owner).get(address(run), {"state": "failed"}).json()

    assert page == {
        "next": None,
        "previous": None,
        "results": [
            {
                **{"index": 0, "key": "no-0", "state": "failed", "task_id": None, "attempt": 2},
                **{"iteration": 0, "total": None, "completion": 40.0, "message": ""},
                "error": "Error in func_2[no-0]: bad",
                **{"queued_at": None, "started_at": None, "finished_at": None},
            }
        ],
    }


def test_what_has_not_changed_is_a_304(owner: User, api: Api, make_run: MakeRun) -> None:
    run, client = make_run(owner), api(owner)
    with_items(run, 2)
    tag = client.get(address(run))["ETag"]

    assert client.get(address(run), HTTP_IF_NONE_MATCH=tag).status_code == 304
    Item.objects.filter(index=0).update(message="now")
    assert client.get(address(run), HTTP_IF_NONE_MATCH=tag).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "odd"}, "state"),
        ({"states": "ok"}, "states"),
        ({"cursor": "odd"}, "cursor"),
        ({"cursor": "cD14"}, "cursor"),  # p=x
        ({"cursor": "cD0tMQ=="}, "cursor"),  # p=-1
        ({"cursor": "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk="}, "cursor"),  # p=9999...
    ],
)
def test_a_bad_query_names_its_field(
    owner: User, api: Api, make_run: MakeRun, query: dict[str, str], field: str
) -> None:
    run = make_run(owner)
    with_items(run, 1)

    answer = api(owner).get(address(run), query)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_who_may_not_see_the_run_sees_no_item(
    owner: User, other: User, api: Api, make_run: MakeRun
) -> None:
    run = make_run(owner)
    with_items(run, 1)

    assert api(other).get(address(run)).status_code == 404
    assert api(None).get(address(run)).status_code == 401


@pytest.mark.parametrize(("name", "says"), [("func_9", "no step"), ("func_1", "is not mapped")])
def test_a_step_without_items_is_a_404_that_says_why(
    owner: User, api: Api, make_run: MakeRun, name: str, says: str
) -> None:
    run = make_run(owner)

    answer = api(owner).get(address(run, name))

    assert answer.status_code == 404
    assert says in answer.json()["detail"]
