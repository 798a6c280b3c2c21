"""`Idempotency-Key`: the same key and body start one run, however often they are sent."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from rest_framework.test import APIClient

from parent.definition.workflow import Workflow
from parent.models import Run

Api = Callable[[User | None], APIClient]
POSTS = 100
AT_ONCE = 50  # PostgreSQL takes 100 connections, and other tests have some


def post(client: APIClient, key: str, body: Any, name: str = "main_flow", **options: Any) -> Any:
    options.setdefault("format", "json")
    return client.post(f"/workflows/{name}/", body, headers={"Idempotency-Key": key}, **options)


def test_the_same_key_and_body_give_the_same_run(owner: User, api: Api) -> None:
    first, second = (post(api(owner), "k-1", {"limit": 3}) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first["Location"] == second["Location"] == f"/tasks/{Run.objects.get().pk}/"
    assert first.json()["task_id"] == second.json()["task_id"]


def test_the_same_values_in_a_form_are_the_same_body(owner: User, api: Api) -> None:
    post(api(owner), "k-1", {"limit": 3})

    assert post(api(owner), "k-1", {"limit": "3"}, format="multipart").status_code == 202
    assert Run.objects.count() == 1


def test_another_body_or_workflow_with_the_same_key_is_a_conflict(owner: User, api: Api) -> None:
    post(api(owner), "k-1", {"limit": 3})

    other_body = post(api(owner), "k-1", {"limit": 4})
    other_workflow = post(api(owner), "k-1", {}, name="noops")

    assert (other_body.status_code, other_workflow.status_code) == (409, 409)
    assert other_body["Content-Type"] == "application/problem+json"
    assert "'k-1' was used for another start" in other_body.json()["detail"]
    assert Run.objects.count() == 1


def test_other_keys_and_other_owners_start_other_runs(owner: User, other: User, api: Api) -> None:
    post(api(owner), "k-1", {"limit": 3})
    post(api(owner), "k-2", {"limit": 3})
    post(api(other), "k-1", {"limit": 3})
    api(owner).post("/workflows/main_flow/", {"limit": 3}, format="json")

    assert Run.objects.count() == 4


def test_a_file_counts_by_what_is_in_it_and_is_stored_once(
    owner: User, api: Api, form_flow: Workflow, media: Path
) -> None:
    def send(content: bytes) -> int:
        body = {"title": "T", "file": SimpleUploadedFile("in.csv", content)}
        response = post(api(owner), "k-1", body, name="every_kind", format="multipart")
        return int(response.status_code)

    assert [send(b"a,b"), send(b"a,b"), send(b"a,c")] == [202, 202, 409]
    assert [path.read_bytes() for path in media.rglob("*.csv")] == [b"a,b"]


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "grün"])
def test_an_invalid_idempotency_key_is_named_and_starts_nothing(
    owner: User, api: Api, key: str
) -> None:
    response = post(api(owner), key, {"limit": 3})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["Idempotency-Key"]
    assert not Run.objects.exists()


def test_the_longest_key_is_taken(owner: User, api: Api) -> None:
    assert post(api(owner), "x" * 255, {"limit": 3}).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_a_hundred_posts_at_once_with_one_key_make_one_run(owner: User, api: Api) -> None:
    clients = [api(owner) for _ in range(POSTS)]
    line = threading.Barrier(AT_ONCE)

    def send(client: APIClient) -> tuple[int, str]:
        try:
            line.wait(30)
            response = post(client, "k-1", {"limit": 3})
            return response.status_code, response["Location"]
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = set(threads.map(send, clients))

    assert answers == {(202, f"/tasks/{Run.objects.get().pk}/")}
