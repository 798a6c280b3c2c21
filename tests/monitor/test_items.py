"""The items of a mapped step over HTTP, and its counters in the status."""

from collections.abc import Callable
from html import unescape
from itertools import chain
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from monitor.api.request_options import PAGE_SIZE
from monitor.runs.items import ITEM_STATES
from monitor.runs.mapped import FIRST, segments
from parent.inline import run_inline
from parent.models import Item, Run, Step
from tests.flows import workflows

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
                **{"run_id": None},
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


def test_one_item_is_retried_over_http(owner: User, api: Api) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=3, broken=[2])
    again = {"step": "double", "item": "no 2"}

    response = api(owner).post(f"/tasks/{run.pk}/retry/", again, format="json")

    told = response.json()
    assert (response.status_code, told["state"]) == (202, "STARTED")
    assert told["steps"][0]["items"] == {**COUNTS, "total": 3, "ok": 2, "waiting": 1}
    item = Item.objects.get(key="no 2")
    assert (item.state, item.attempt, item.kwargs) == ("QUEUED", 2, {"n": 2, "broken": True})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"step": "double", "item": "no 7"}, "double has no item with the key 'no 7'."),
        ({"step": "double", "item": "no 0"}, "The item 'no 0' of double is OK"),
        ({"step": "count_values", "item": "0"}, "count_values has no items"),
        ({"item": "no 2"}, {"step": ["Say which step the item belongs to."]}),
        ({"step": "double", "item": "no 2", "skip": True}, {"skip": ["One item cannot be"]}),
        ({"step": "double", "item": "no 2", "inputs": {}}, {"inputs": ["An item keeps the"]}),
        ({"step": "double", "item": "x" * 201}, {"item": ["Ensure this field has no more"]}),
        ({"step": "double", "item": 7.5}, "double has no item with the key '7.5'."),
        ({"step": "double", "item": ["no 2"]}, {"item": ["Not a valid string."]}),
        ({"step": "double", "item": ""}, {"item": ["This field may not be blank."]}),
    ],
)
def test_what_is_no_item_to_retry_is_a_400(
    owner: User, api: Api, body: dict[str, Any], says: Any
) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=3, broken=[2])

    response = api(owner).post(f"/tasks/{run.pk}/retry/", body, format="json")

    told = response.json()
    assert response.status_code == 400
    if isinstance(says, str):
        assert says in str(told)
    else:
        assert {
            name: [told["errors"][name][0][: len(e)] for e in es] for name, es in says.items()
        } == says
    run.refresh_from_db()
    assert run.state == "FAILURE"


def test_only_who_may_retry_retries_an_item(owner: User, other: User, api: Api) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=3, broken=[2])
    again = {"step": "double", "item": "no 2"}

    assert api(other).post(f"/tasks/{run.pk}/retry/", again, format="json").status_code == 404
    assert api(None).post(f"/tasks/{run.pk}/retry/", again, format="json").status_code == 401


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("abc", "`over` gave a value of type str, not a list"),
        ({"n": 1}, "`over` gave a value of type dict, not a list"),
        (7, "`over` gave a value of type int, not a list"),
        (None, "`over` gave a value of type NoneType, not a list"),
        (
            [{"n": n} for n in range(6)],
            "more than 5 items, which the setting WORKFLOW_MAP_LIMIT allows",
        ),
        ([{"n": 1}, {"n": 1}], "items 0 and 1 have the same key 'no 1'"),
        ([{"n": 1}, {"m": 1}], "the key of item 1 raised: KeyError: 'n'"),
        ([{"n": 1}, {"n": 2, "m": 1}], "item 1 does not fit its child"),
        ([{"n": [1]}, 3], "the key of item 1 raised: 'int' object is not subscriptable"),
        ([{"n": "x" * 300}], "keys are one line of 1 to 200 characters"),
        ([{"n": "a\nb"}], "keys are one line of 1 to 200 characters"),
    ],
)
def test_bad_items_are_one_clear_sentence_on_the_page_and_over_http(
    owner: User, api: Api, client: Client, settings: Any, given: Any, says: str
) -> None:
    settings.WORKFLOW_MAP_LIMIT = 5
    run = run_inline(workflows.doubled, owner=owner, count=0, given=given)

    told = api(owner).get(f"/tasks/{run.pk}/").json()
    client.force_login(owner)
    page = unescape(client.get(f"/runs/{run.pk}/").content.decode())

    step = told["steps"][0]
    assert (told["state"], step["state"], step["items"]) == ("FAILURE", "FAILURE", None)
    assert told["error"] == step["error"]
    assert step["error"].startswith("Error in the items of double: ")
    assert says in step["error"]
    assert "\n" not in step["error"]
    assert step["error"].replace("double", "Double each", 1) in page
    assert not Item.objects.exists()


def test_the_first_paint_does_not_depend_on_the_number_of_items(
    owner: User, client: Client, make_run: MakeRun
) -> None:
    """The page has the counters and the first failed items; so it takes the same statements."""
    client.force_login(owner)
    sizes, statements = [], []
    for count in (100, 3_000):
        run = make_run(owner)
        step = with_items(run, count)
        failed = count // 2
        Item.objects.filter(step=step, index__lt=failed).update(state="ERROR", error="bad")
        counts = {**COUNTS, "total": count, "failed": failed, "waiting": count - failed}
        Step.objects.filter(pk=step.pk).update(items=counts, task_id=f"map of {count}")
        with CaptureQueriesContext(connection) as queries:
            page = client.get(f"/runs/{run.pk}/").content.decode()
        assert page.count('data-key="func_2 ') == FIRST
        sizes.append(len(page))
        statements.append(len(queries))

    assert abs(sizes[0] - sizes[1]) < 200
    assert statements[0] == statements[1]


@pytest.mark.parametrize("after", ["", "x", "-1", "9" * 30, "²"])
def test_a_place_that_is_none_is_the_first_page(
    owner: User, client: Client, make_run: MakeRun, after: str
) -> None:
    run = make_run(owner)
    with_items(run, 2, state="ERROR", error="bad")
    client.force_login(owner)

    page = client.get(f"/runs/{run.pk}/steps/func_2/failed/", {"after": after}).content.decode()

    assert page.count('data-key="func_2 ') == 1


def test_the_page_of_failed_items_is_only_for_who_may_see_the_run(
    owner: User, other: User, client: Client, make_run: MakeRun
) -> None:
    run = make_run(owner)
    with_items(run, 1, state="ERROR", error="bad")
    address = f"/runs/{run.pk}/steps/func_2/failed/"

    client.force_login(other)
    assert client.get(address).status_code == 404
    client.force_login(owner)
    assert client.get(f"/runs/{run.pk}/steps/func_1/failed/").status_code == 404
    assert client.get(f"/runs/{run.pk}/steps/odd/failed/").status_code == 404
    assert client.get(address).status_code == 200


def test_a_form_that_does_not_fit_changes_nothing_and_says_why(owner: User, client: Client) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=1, broken=[0])
    client.force_login(owner)

    form = {"step": "double", "item": "no 9"}
    page = client.post(f"/runs/{run.pk}/retry/", form, follow=True).content.decode()

    assert "double has no item with the key &#x27;no 9&#x27;." in page
    run.refresh_from_db()
    assert run.state == "FAILURE"


@pytest.mark.parametrize(
    ("counts", "widths"),
    [
        ({}, []),
        ({"ok": 1}, [1000.0]),
        ({"ok": 9_999, "failed": 1}, [995.9, 4.1]),
        ({"ok": 1, "waiting": 3}, [252.0, 748.0]),
    ],
)
def test_the_bar_is_full_and_shows_one_failure_among_thousands(
    counts: dict[str, int], widths: list[float]
) -> None:
    parts = segments({**COUNTS, **counts})

    assert [part.width for part in parts] == widths
    assert [part.x for part in parts] == [sum(widths[:n]) for n in range(len(widths))]


def test_an_items_id_is_polled_like_a_childs(owner: User, other: User, api: Api) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=2)
    item = Item.objects.get(key="no 1")
    client, path = api(owner), f"/tasks/{item.task_id}/"

    response = client.get(path)

    told = response.json()
    assert (told["task_id"], told["run_id"]) == (item.task_id, str(run.pk))
    assert (told["title"], told["state"], told["result"]) == ("Double each[no 1]", "SUCCESS", 2)
    assert client.get(told["result_url"]).json() == 2
    assert client.get(path, HTTP_IF_NONE_MATCH=response["ETag"]).status_code == 304
    several = client.get("/tasks/", {"ids": f"{item.task_id},{run.pk}"}).json()["results"]
    assert [each["task_id"] for each in several] == [item.task_id, str(run.pk)]
    assert api(other).get(path).status_code == 404
    assert client.get(f"/runs/{item.task_id}/")["Location"] == f"/runs/{run.pk}/"

    Item.objects.filter(pk=item.pk).update(state="RUNNING", completion=30)
    assert client.get(path, HTTP_IF_NONE_MATCH=response["ETag"]).status_code == 200


def test_the_search_of_runs_finds_an_items_id(owner: User, client: Client) -> None:
    run = run_inline(workflows.doubled, owner=owner, count=2)
    run_inline(workflows.doubled, owner=owner, count=2)
    item = Item.objects.get(step__run=run, key="no 1")
    client.force_login(owner)

    page = client.get("/runs/", {"q": str(item.task_id)}).content.decode()

    assert page.count("data-run=") == 1
    assert f'data-run="{run.pk}"' in page


def test_the_catalogue_says_which_steps_are_mapped(owner: User, api: Api) -> None:
    found = {each["name"]: each["steps"] for each in api(owner).get("/workflows/").json()}

    assert [step["mapped"] for step in found["doubled"]] == [True, False]
