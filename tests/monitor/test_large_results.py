"""Small results are in the status, large ones have their own address; lists have none."""

import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from monitor.runs.results import BEGINNING
from parent.models import Run, Step
from parent.runs.start import start
from tests.flows import workflows
from tests.monitor.runs import fail, finish, result_of

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]

LIMIT = 10_000
MEGABYTE = 2**20
LARGE = "x" * 3 * LIMIT
LAST = "third"
# Of the columns, not of `result_size`, of parameters' values or of Celery's own table.
UNREAD = re.compile(r"\b(result|params|kwargs|given)\b")
WHOLE = re.compile(r'"(result|params|kwargs|given)"(?! AS text|\)::text)')


@pytest.fixture(autouse=True)
def limit(settings: Any) -> None:
    settings.WORKFLOW_RESULT_INLINE_LIMIT = LIMIT


def ended(owner: User | None, result: Any = LARGE) -> Run:
    """A run that ended with this result, and its first child too."""
    run = start(workflows.noops, {}, owner=owner)
    finish(run, "first", result)
    finish(run, "second")
    finish(run, LAST, result)
    run.refresh_from_db()
    return run


def child_of(run: Run) -> str:
    return str(run.steps.get(name="first").task_id)


def nested(depth: int, inside: Any) -> Any:
    for _ in range(depth):
        inside = [inside]
    return inside


def size_of(result: Any) -> int:
    return len(json.dumps(result, ensure_ascii=False).encode())


SMALL = {
    "an empty text": "",
    "a number": 7,
    "one byte below the limit": "x" * (LIMIT - 3),
    "just at the limit": "x" * (LIMIT - 2),
    "text of two bytes a character, at the limit": "é" * (LIMIT // 2 - 1),
    "a small one, nested deep": nested(190, 1),
}
TOO_LARGE = {
    "one byte above the limit": "x" * (LIMIT - 1),
    "text of two bytes a character, just above": "é" * (LIMIT // 2),
    "text of four bytes a character": "\N{GRINNING FACE}" * LIMIT,
    "quotes and control characters": '"\\\n\x01' * LIMIT,
    "many numbers": list(range(LIMIT)),
    "an object": {str(number): [number, None, True] for number in range(LIMIT)},
    "nested deep": nested(190, LARGE),
}


@pytest.mark.parametrize("result", SMALL.values(), ids=SMALL)
def test_a_small_result_is_in_the_status(owner: User, api: Api, result: Any) -> None:
    run, client = ended(owner, result), api(owner)

    for task_id in (str(run.pk), child_of(run)):
        status = client.get(f"/tasks/{task_id}/").json()
        assert status["result"] == result
        assert status["result_size"] == size_of(result)
        assert client.get(status["result_url"]).json() == result


@pytest.mark.parametrize("result", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_large_result_has_its_own_address(owner: User, api: Api, result: Any) -> None:
    run, client = ended(owner, result), api(owner)

    for task_id in (str(run.pk), child_of(run)):
        answer = client.get(f"/tasks/{task_id}/")
        status = answer.json()
        assert len(answer.content) < LIMIT
        assert status["result"] is None
        assert status["result_size"] == size_of(result)
        assert status["result_url"] == f"/tasks/{task_id}/result/"
        whole = client.get(status["result_url"])
        assert whole["Content-Type"] == "application/json"
        assert len(whole.content) == status["result_size"]
        assert whole.json() == result
    assert result_of(run.pk).get() == result
    assert run.result == result


def test_numbers_that_a_database_writes_in_its_own_way_are_the_same(owner: User, api: Api) -> None:
    result = [1e-07, 1.5e-10, 123456789.5] * LIMIT
    run = ended(owner, result)

    assert api(owner).get(f"/tasks/{run.pk}/result/").json() == result


def test_null_is_a_result(owner: User, api: Api) -> None:
    run, client = ended(owner, None), api(owner)

    status = client.get(f"/tasks/{run.pk}/").json()

    assert (status["result"], status["result_size"]) == (None, None)
    assert client.get(status["result_url"]).json() is None


def test_without_a_limit_no_status_has_results(owner: User, api: Api, settings: Any) -> None:
    settings.WORKFLOW_RESULT_INLINE_LIMIT = 0
    run, client = ended(owner, 7), api(owner)

    status = client.get(f"/tasks/{run.pk}/").json()

    assert (status["result"], status["result_size"]) == (None, 1)
    assert client.get(status["result_url"]).json() == 7


def in_progress(owner: User) -> Run:
    return start(workflows.noops, {}, owner=owner)


def failed(owner: User) -> Run:
    run = in_progress(owner)
    fail(run, "first")
    return run


@pytest.mark.parametrize("make", [in_progress, failed])
def test_a_task_without_a_result_has_no_result_address(
    owner: User, api: Api, make: Callable[[User], Run]
) -> None:
    run, client = make(owner), api(owner)

    for task_id in (str(run.pk), child_of(run)):
        status = client.get(f"/tasks/{task_id}/").json()
        assert (status["result"], status["result_url"], status["result_size"]) == (None,) * 3
        answer = client.get(f"/tasks/{task_id}/result/")
        assert answer.status_code == 404
        assert "has no result" in answer.json()["detail"]


@contextmanager
def sql() -> Iterator[list[str]]:
    """Record the SQL statements on runs and steps."""
    told: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield told
    told += [each["sql"] for each in captured if "parent_" in each["sql"]]


LISTS = {
    "the list of runs": "/tasks/",
    "its filters": "/tasks/?state=SUCCESS&workflow=noops",
    "a poll of many": "/tasks/?ids={ids}",
    "the page of runs": "/runs/",
    "a search": "/runs/?q=noops",
    "the catalogue": "/",
    "the admin's runs": "/admin/parent/run/",
    "the admin's steps": "/admin/parent/step/",
}


@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_no_list_carries_or_reads_a_result(staff: User, client: Client, path: str) -> None:
    staff.is_superuser = True
    staff.save()
    client.force_login(staff)
    runs = [ended(staff) for _ in range(3)]
    ids = ",".join(id for run in runs for id in (str(run.pk), child_of(run)))
    client.get("/")

    with sql() as statements:
        answer = client.get(path.format(ids=ids))

    assert answer.status_code == 200
    assert str(runs[0].pk)[:8] in answer.content.decode()
    assert "xxx" not in answer.content.decode()
    # A poll and a list each have a fixed number, for one run and for three.
    assert len(statements) <= 5
    for statement in statements:
        assert not UNREAD.search(statement), statement
    for status in answer.json()["results"] if path.startswith("/tasks/") else ():
        assert status["result"] is None
        assert status["result_size"] == size_of(LARGE)
        assert client.get(status["result_url"]).json() == LARGE


def test_a_result_may_have_twenty_megabytes(owner: User, api: Api) -> None:
    client, run = api(owner), start(workflows.noops, {}, owner=owner)
    result = ["größe" * MEGABYTE] * 3
    for name in ("first", "second"):
        finish(run, name)
    finish(run, LAST, result)

    status = client.get(f"/tasks/{run.pk}/").json()
    with peak() as figure:
        whole = client.get(status["result_url"]).content

    assert len(whole) == status["result_size"] == size_of(result)
    assert json.loads(whole) == result
    # As text and as what is sent; parsed, it would be as large again.
    assert figure[0] < 2.5 * len(whole)


def written(owner: User, make_run: MakeRun, megabytes: int) -> Run:
    """A run that ended with a result of this size, as did its first child."""
    result = "x" * megabytes * MEGABYTE
    size = size_of(result)
    run = make_run(owner, state="SUCCESS", result=result, result_size=size)
    run.steps.filter(name="func_1").update(state="OK", result=result, result_size=size)
    return run


def test_a_list_of_large_results_takes_no_memory_for_them(
    owner: User, api: Api, make_run: MakeRun
) -> None:
    client = api(owner)
    for _ in range(9):
        written(owner, make_run, 1)
    client.get("/tasks/")

    with peak() as figure:
        answer = client.get("/tasks/")

    assert len(answer.json()["results"]) == 9
    assert len(answer.content) < 20_000
    assert figure[0] < MEGABYTE


@contextmanager
def peak() -> Iterator[list[int]]:
    """The peak of allocated memory, in bytes."""
    figure: list[int] = []
    tracemalloc.start()
    try:
        yield figure
        figure.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def test_a_poll_of_an_ended_run_does_not_read_a_large_result(
    owner: User, api: Api, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr("monitor.api.views.timezone.now", lambda: now)
    client, run = api(owner), written(owner, make_run, 2)
    for task_id in (str(run.pk), str(run.steps.get(name="func_1").task_id)):
        url = f"/tasks/{task_id}/"
        client.get(url)
        with peak() as figure:
            first = client.get(url)
            again = client.get(url, headers={"If-None-Match": first["ETag"]})

        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        assert figure[0] < MEGABYTE


def test_a_result_with_a_current_etag_is_not_sent_again(owner: User, api: Api) -> None:
    client, run = api(owner), ended(owner)
    url = f"/tasks/{run.pk}/result/"
    first = client.get(url)

    with sql() as statements:
        again = client.get(url, headers={"If-None-Match": first["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert len(statements) == 1
    assert not UNREAD.search(statements[0])
    assert client.get(url, headers={"If-None-Match": 'W/"other"'}).status_code == 200


def test_sizes_that_an_earlier_release_did_not_store_are_measured(owner: User, api: Api) -> None:
    client, large, small = api(owner), ended(owner), ended(owner, 7)
    Run.objects.update(result_size=None)
    Step.objects.update(result_size=None)

    for task_id in (str(large.pk), child_of(large)):
        status = client.get(f"/tasks/{task_id}/").json()
        assert (status["result"], status["result_size"]) == (None, size_of(LARGE))
        assert client.get(status["result_url"]).json() == LARGE
    assert client.get(f"/tasks/{small.pk}/").json()["result"] == 7
    for status in client.get("/tasks/").json()["results"]:
        assert (status["result"], status["result_size"]) == (None, None)
        assert status["result_url"]


def test_a_page_shows_the_beginning_and_a_download(owner: User, client: Client) -> None:
    run = ended(owner, {"größe": "<x>" * MEGABYTE})
    client.force_login(owner)

    with sql() as statements:
        page = client.get(f"/runs/{run.pk}/")
    text = page.content.decode()
    whole = [each for each in statements if '"parent_run"."result"' in each]

    assert len(page.content) < 20_000 + 6 * BEGINNING
    assert len(whole) == 1
    assert "10001" in whole[0]
    assert "größe" in text
    assert "&lt;x&gt;&lt;x&gt;" in text
    assert "The beginning of 3.0\xa0MB" in text
    assert f'href="/runs/{run.pk}/result.json"' in text
    download = client.get(f"/runs/{run.pk}/result.json")
    assert download.json() == run.result
    assert download["Content-Disposition"] == f'attachment; filename="noops-{run.pk}.json"'


def test_a_page_shows_the_beginning_of_each_large_input(
    owner: User, client: Client, make_run: MakeRun
) -> None:
    run = make_run(owner, params={"text": "x" * MEGABYTE, "list": ["y"] * 100_000, "limit": 3})
    client.force_login(owner)

    page = client.get(f"/runs/{run.pk}/")

    assert len(page.content) < 50_000
    assert "xxx…" in page.content.decode()


def test_the_admin_shows_the_beginning(staff: User, client: Client) -> None:
    staff.is_superuser = True
    staff.save()
    client.force_login(staff)
    run = ended(staff, "x" * MEGABYTE)
    step = run.steps.get(name="first")

    for path in (f"run/{run.pk}", f"step/{step.pk}"):
        with sql() as statements:
            page = client.get(f"/admin/parent/{path}/change/")
        assert page.status_code == 200
        assert "xxx…" in page.content.decode()
        assert len(page.content) < 100_000
        for statement in statements:
            assert not WHOLE.search(statement), statement
