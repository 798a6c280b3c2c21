"""Polling: one indexed SQL statement, and an ETag that changes with the content."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from monitor.polling import etag
from monitor.polling.slow_down import pace
from monitor.runs import snapshot
from parent.models import Run, Step

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]
LOGIN = len(("session", "user"))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Freezes the server's time, that many seconds in the future."""
    began = timezone.now()

    def ahead(seconds: float) -> None:
        monkeypatch.setattr(
            "monitor.api.views.timezone.now", lambda: began + timedelta(seconds=seconds)
        )

    ahead(0)
    return ahead


def poll(client: Client, run: Run, tag: str = "") -> Any:
    return client.get(f"/tasks/{run.pk}/", headers={"If-None-Match": tag} if tag else None)


def test_one_statement_reads_runs_and_children_by_indexes(owner: User, make_run: MakeRun) -> None:
    runs = [make_run(owner) for _ in range(3)]
    write_many(3_000)
    ids = [runs[0].pk, runs[1].pk, UUID(task_id(runs[2]))]

    with connection.cursor() as cursor:
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        for asked in (ids[:1], ids[2:], ids):
            sql, params = snapshot.statement(asked)
            cursor.execute(explain + sql, params)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert "SEARCH" in plan or "Index" in plan, plan
            assert "SCAN parent_" not in plan, plan
            assert "Seq Scan" not in plan, plan


def write_many(count: int) -> None:
    """Enough rows for the query planner to prefer an index."""
    runs = Run.objects.bulk_create(Run(workflow="w", state="PROGRESS") for _ in range(count))
    Step.objects.bulk_create(
        Step(run=run, index=0, name="s", task="t", state="RUNNING", task_id=str(uuid4()))
        for run in runs
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def task_id(run: Run) -> str:
    return str(run.steps.get(name="func_1").task_id)


@pytest.mark.parametrize("count", [1, 10, 50])
def test_many_are_polled_in_one_statement(
    owner: User,
    other: User,
    api: Api,
    make_run: MakeRun,
    django_assert_num_queries: Any,
    count: int,
) -> None:
    runs = [make_run(owner) for _ in range(count)]
    ids = [id for run in runs for id in (str(run.pk), task_id(run))]
    asked = [*ids, str(make_run(other).pk), str(uuid4())]
    client = api(owner)

    with django_assert_num_queries(1 + LOGIN):
        client.get("/tasks/", {"ids": ",".join(asked[:-1][-100:])})
    with django_assert_num_queries(2 + LOGIN):  # the unknown id could be an item's
        answer = client.get("/tasks/", {"ids": ",".join(asked[-100:])})

    page = answer.json()
    assert (page["next"], page["previous"]) == (None, None)
    assert [status["task_id"] for status in page["results"]] == ids[-98:]
    for status in page["results"]:
        assert status == {
            **client.get(f"/tasks/{status['task_id']}/").json(),
            "poll_after_ms": status["poll_after_ms"],
        }
    again = client.get(
        "/tasks/", {"ids": ",".join(asked[-100:])}, headers={"If-None-Match": answer["ETag"]}
    )
    assert again.status_code == 304


def test_a_child_shows_its_own_result_and_a_run_reads_none_of_them(
    owner: User, api: Api, make_run: MakeRun
) -> None:
    run = make_run(owner)
    run.steps.filter(name="func_1").update(state="OK", result={"large": [1, 2]})

    assert api(owner).get(f"/tasks/{task_id(run)}/").json()["result"] == {"large": [1, 2]}
    (of_run,) = snapshot.Snapshot([run.pk]).tasks(owner)
    assert [step.result for step in of_run.steps] == [None, None]


def test_a_run_without_steps_is_read_too(owner: User, api: Api) -> None:
    run = Run.objects.create(workflow="w", owner=owner)

    assert poll(api(owner), run).json()["steps"] == []


def test_nothing_new_is_a_304_without_a_body(owner: User, api: Api, make_run: MakeRun) -> None:
    client, run = api(owner), make_run(owner)
    first = poll(client, run)

    again = poll(client, run, first["ETag"])

    assert first["ETag"].startswith('W/"')
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert again["Cache-Control"] == "private, no-store"
    assert poll(client, run, f'"other", {first["ETag"]}').status_code == 304
    assert poll(client, run, '"other"').status_code == 200


@pytest.mark.parametrize(
    "columns",
    [
        {"message": "func_1: 5 of 10"},
        {"iteration": 5},
        {"total": 11},
        {"completion": 21.0},
        {"state": "STARTED"},
        {"cancel_requested_at": timezone.now()},
        {"started_at": timezone.now()},
        {"version": 2},
    ],
)
def test_whatever_changes_of_a_run_is_sent(
    owner: User, api: Api, make_run: MakeRun, columns: dict[str, Any]
) -> None:
    client, run = api(owner), make_run(owner)
    tag = poll(client, run)["ETag"]

    Run.objects.filter(pk=run.pk).update(**columns)

    assert poll(client, run, tag).status_code == 200


@pytest.mark.parametrize(
    "columns",
    [
        {"message": "5 of 10"},
        {"completion": 50.0},
        {"attempt": 2},
        {"state": "ERROR", "error": "no"},
        {"finished_at": timezone.now()},
    ],
)
def test_whatever_changes_of_a_step_is_sent(
    owner: User, api: Api, make_run: MakeRun, columns: dict[str, Any]
) -> None:
    client, run = api(owner), make_run(owner)
    tag = poll(client, run)["ETag"]

    run.steps.filter(name="func_1").update(**columns)

    assert poll(client, run, tag).status_code == 200


def test_time_alone_changes_an_answer_ever_more_seldom(
    owner: User, api: Api, make_run: MakeRun, clock: Callable[[float], None]
) -> None:
    client, run = api(owner), make_run(owner)
    tag, sent, waits = "", [], []
    for second in range(100):
        clock(second)
        answer = poll(client, run, tag)
        tag = answer["ETag"]
        if answer.status_code == 200:
            sent.append(second)
            waits.append(answer.json()["poll_after_ms"])

    # The run's figures as they were, with an estimate that grows, 1, 2, 4 ... s after the last
    # movement of each of its steps.
    assert 8 <= len(sent) <= 2 * 8
    assert waits[0] <= 550
    # Whoever got a 304 last waits as long as they would have been told.
    clock(99)
    assert waits[-1] == pytest.approx(poll(client, run).json()["poll_after_ms"], rel=0.25)
    assert waits[-1] >= 1_800


@pytest.mark.parametrize("state", Run.ENDED)
def test_time_alone_changes_nothing_of_what_has_ended(
    owner: User, api: Api, make_run: MakeRun, clock: Callable[[float], None], state: str
) -> None:
    client, run = api(owner), make_run(owner, state=state, finished_at=timezone.now())
    paths = [f"/tasks/{id}/" for id in (run.pk, task_id(run))]
    tags = [client.get(path)["ETag"] for path in paths]

    for second in range(0, 100, 3):
        clock(second)
        again = [
            client.get(path, headers={"If-None-Match": tag})
            for path, tag in zip(paths, tags, strict=True)
        ]
        assert [answer.status_code for answer in again] == [304, 304]


def test_clients_are_told_to_wait_not_all_equally_long(
    owner: User, api: Api, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, run = api(owner), make_run(owner)
    monkeypatch.setattr(pace, "longer", lambda wait: wait)  # of a process that is busy
    answers = [poll(client, run) for _ in range(20)]

    waits = {answer.json()["poll_after_ms"] for answer in answers}
    assert len(waits) > 1
    assert all(450 <= wait <= 550 for wait in waits)
    assert len({answer["ETag"] for answer in answers}) == 1


def test_a_current_etag_costs_one_query(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    client, run = api(owner), make_run(owner)
    tag = poll(client, run)["ETag"]

    with django_assert_num_queries(1):
        assert poll(client, run, tag).status_code == 304


def test_the_same_with_a_token(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    client, run = api(None), make_run(owner)
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=owner).key}")
    tag = poll(client, run)["ETag"]

    with django_assert_num_queries(1):
        assert poll(client, run, tag).status_code == 304


def test_a_change_is_read_once_and_the_caller_looked_up(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    client, run = api(owner), make_run(owner)
    tag = poll(client, run)["ETag"]
    Run.objects.update(message="new")

    with django_assert_num_queries(1 + LOGIN):
        assert poll(client, run, tag).json()["message"] == "new"


def test_a_tag_is_worth_nothing_without_the_credentials_that_it_was_given_to(
    owner: User, other: User, api: Api, make_run: MakeRun
) -> None:
    run = make_run(owner)
    tag = poll(api(owner), run)["ETag"]

    assert poll(api(other), run, tag).status_code == 404
    assert poll(api(None), run, tag).status_code == 401
    unsigned = tag.partition(".")[0] + '."'
    assert poll(api(None), run, unsigned).status_code == 401
    assert poll(api(other), run, unsigned).status_code == 404


def test_a_tag_is_worth_nothing_for_another_address(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    client, run, second = api(owner), make_run(owner), make_run(owner)
    tag = poll(client, run)["ETag"]

    with django_assert_num_queries(1 + LOGIN):
        assert poll(client, second, tag).status_code == 200


def test_a_caller_who_may_no_longer_see_it_never_gets_what_is_new(
    owner: User, api: Api, make_run: MakeRun
) -> None:
    client, run = api(owner), make_run(owner)
    tag = poll(client, run)["ETag"]
    User.objects.filter(pk=owner.pk).update(is_active=False)

    Run.objects.update(message="a secret")

    answer = poll(client, run, tag)
    assert answer.status_code == 401
    assert b"secret" not in answer.content


def test_who_polls_on_and_on_is_looked_up_now_and_then(
    owner: User, api: Api, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, run = api(owner), make_run(owner, state="SUCCESS")
    began, answer = time.time(), poll(client, run)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    statuses = []
    for minute in range(4):
        monkeypatch.setattr("monitor.polling.etag.time.time", lambda at=began + 50 * minute: at)
        answer = poll(client, run, answer["ETag"])
        statuses.append(answer.status_code)
        if answer.status_code == 401:
            break

    assert statuses[0] == 304
    assert statuses[-1] == 401


def test_a_tag_of_many_says_nothing_of_what_is_not_the_callers(
    owner: User, other: User, api: Api, make_run: MakeRun
) -> None:
    client, mine, foreign = api(owner), make_run(owner), make_run(other)
    path = f"/tasks/?ids={mine.pk},{foreign.pk}"
    tag = client.get(path)["ETag"]

    Run.objects.filter(pk=foreign.pk).update(message="new")

    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_a_signature_ends_and_its_tag_still_holds(
    owner: User,
    api: Api,
    make_run: MakeRun,
    django_assert_num_queries: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, run = api(owner), make_run(owner, state="SUCCESS")
    tag, now = poll(client, run)["ETag"], time.time()
    monkeypatch.setattr("monitor.polling.etag.time.time", lambda: now + 2 * etag.SIGNED_FOR)

    with django_assert_num_queries(1 + LOGIN):
        answer = poll(client, run, tag)

    assert answer.status_code == 304
    with django_assert_num_queries(1):
        assert poll(client, run, answer["ETag"]).status_code == 304


def test_translations_come_beside_the_english_and_each_language_has_its_tags(
    owner: User, api: Api, make_run: MakeRun, django_assert_num_queries: Any
) -> None:
    client, run = api(owner), make_run(owner)
    path, error = f"/tasks/{run.pk}/", "func_1 failed"
    run.steps.filter(name="func_1").update(state="ERROR", error=error, message="")
    plain = client.get(path)

    german, french = (client.get(path, {"lang": language}) for language in ("de", "fr"))

    told = german.json()
    assert told["texts"][error] == "func_1 ist fehlgeschlagen"
    assert told["texts"]["func_1: 4 of 10"] == "func_1: 4 von 10"
    assert french.json()["texts"][error] == "func_1 a échoué"
    assert {**plain.json(), "poll_after_ms": 0, "texts": told["texts"]} == {
        **told,
        "poll_after_ms": 0,
    }
    for language, expected in (("de", 304), ("fr", 200), ("", 200)):
        tags = {"If-None-Match": german["ETag"]}
        assert client.get(path, {"lang": language}, headers=tags).status_code == expected
    with django_assert_num_queries(1):
        client.get(path, {"lang": "de"}, headers={"If-None-Match": german["ETag"]})

    of_many = client.get("/tasks/", {"ids": str(run.pk), "lang": "de"})
    assert of_many.json()["texts"] == told["texts"]
    Run.objects.update(state="SUCCESS", finished_at=timezone.now())
    refused = client.post(f"{path}cancel/?lang=de").json()
    assert refused["texts"] == {refused["detail"]: "Der Lauf ist schon beendet: Er ist SUCCESS."}
    assert "texts" not in client.get(path, {"lang": "es"}).json()
