"""Bad input: a 4xx problem document that names the field; never a 500, never a half-made run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django_celery_results.models import TaskResult
from rest_framework.test import APIClient

from parent.definitions import Workflow
from parent.models import Run, Step

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BOUNDARY = "multipart/form-data; boundary=edge"
EVERY_KIND = "/workflows/every_kind/"


@pytest.fixture
def refused(owner: User, api: Api, form_flow: Workflow, media: Path) -> Callable[..., Any]:
    """Posts what must be refused; the problem document."""

    def post(path: str, body: Any, content_type: str, status: int = 400) -> Any:
        client = api(owner)
        client.raise_request_exception = False
        if isinstance(body, dict):
            response = client.post(path, body, format="multipart")
        else:
            response = client.generic("POST", path, body, content_type=content_type)
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/problem+json"
        assert not Run.objects.exists()
        assert not Step.objects.exists()
        assert not TaskResult.objects.exists()
        assert not media.exists() or not [path for path in media.rglob("*") if path.is_file()]
        problem = response.json()
        assert problem["status"] == status
        return problem

    return post


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[" * 100_000,
        b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"title": "\xff"}',
        b"\xff\xfe\x00",
        b'{"limit": NaN}',
        b'{"ratio": Infinity}',
        b'{"limit": ' + b"9" * 5_000 + b"}",
        b"null",
        b"17",
        b'"text"',
        b"[{}]",
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("path", [EVERY_KIND, "/workflows/noops/", "/workflows/main_flow/"])
def test_a_body_that_is_no_json_object(refused: Any, path: str, body: bytes) -> None:
    if body == b"" and path != EVERY_KIND:
        return  # nothing at all is what these take
    refused(path, body, JSON)


@pytest.mark.parametrize("charset", ["zlib", "hex", "utf-7", "no-such", "idna", "utf-16"])
@pytest.mark.parametrize("kind", [JSON, FORM, BOUNDARY])
def test_a_charset_that_is_none(refused: Any, kind: str, charset: str) -> None:
    refused(EVERY_KIND, b'{"limit": 1', f"{kind}; charset={charset}")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "title"),
        ({"title": None}, "title"),
        ({"title": {"a": 1}}, "title"),
        ({"title": ["a"]}, "title"),
        ({"title": True}, "title"),
        ({"title": "x" * 41}, "title"),
        ({"title": "x" * 2_000_000}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"title": "T", "limit": "ten"}, "limit"),
        ({"title": "T", "limit": 10**4_000}, "limit"),
        ({"title": "T", "limit": 1.5}, "limit"),
        ({"title": "T", "limit": True}, "limit"),
        ({"title": "T", "ratio": "x"}, "ratio"),
        ({"title": "T", "ratio": "nan"}, "ratio"),
        ({"title": "T", "ratio": "Infinity"}, "ratio"),
        ({"title": "T", "ratio": 10**400}, "ratio"),
        ({"title": "T", "day": "2025-02-30"}, "day"),
        ({"title": "T", "careful": "perhaps"}, "careful"),
        ({"title": "T", "careful": []}, "careful"),
        ({"title": "T", "colour": "blue"}, "colour"),
        ({"title": "T", "colour": {}}, "colour"),
        ({"title": "T", "sizes": "s"}, "sizes"),
        ({"title": "T", "sizes": [[]]}, "sizes"),
        ({"title": "T", "names": "ann"}, "names"),
        ({"title": "T", "names": ["a", 5, {}]}, "names.2"),
        ({"title": "T", "names": ["\x00"]}, "names"),
        ({"title": "T", "extra": "\x00"}, "extra"),
        ({"title": "T", "extra": {"deep": ["\ud800"]}}, "extra"),
        ({"title": "T", "extra": {"\x00": 1}}, "extra"),
        ({"title": "T", "extra": {"\ud800": 1}}, "extra"),
        ({"title": "T", "size": 3}, "size"),
        ({"title": "T", "size": {"width": []}}, "size.width"),
        ({"title": "T", "size": {"width": 1, "depth": 2}}, "size.depth"),
        ({"title": "T", "labels": {"\x00": "a"}}, "labels"),
        ({"title": "T", "labels": "a"}, "labels"),
        ({"title": "T", "file": "text"}, "file"),
        ({"title": "T", "file": {"name": "x"}}, "file"),
        ({"title": "T", "more": 1}, "more"),
        ({"title": "T", "\x00": 1}, "�"),
        ({"title": "T", "\ud800": 1}, "?"),
        ({"title": "T", "": 1}, "non_field_errors"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_wrong_field_is_named(refused: Any, params: Any, field: str) -> None:
    problem = refused(EVERY_KIND, json.dumps(params).encode(), JSON)

    assert list(problem["errors"]) == [field]
    assert all(problem["errors"].values())


def test_a_number_that_only_json_can_write(refused: Any) -> None:
    problem = refused(EVERY_KIND, b'{"title": "T", "ratio": 1e999}', JSON)

    assert list(problem["errors"]) == ["ratio"]


def test_json_in_json_is_not_endlessly_deep(refused: Any) -> None:
    deep = b"[" * 250 + b"]" * 250
    problem = refused(EVERY_KIND, b'{"title": "T", "extra": %s}' % deep, JSON)
    assert list(problem["errors"]) == ["extra"]

    text = json.dumps({"title": "T"} | {"extra": 1})[:-2] + "[" * 100_000 + "]" * 100_000 + "}"
    refused(EVERY_KIND, text.encode(), JSON)


@pytest.mark.parametrize("depth", [400, 500, 600, 700, 800, 900])  # somewhere the parser gives up
@pytest.mark.parametrize("path", [EVERY_KIND, "/workflows/main_flow/"])
def test_json_that_only_python_can_read(refused: Any, path: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth

    refused(path, b'{"title": "T", "extra": %s}' % deep, JSON)


def test_an_index_of_a_form_that_python_makes_no_number_of(refused: Any) -> None:
    problem = refused(EVERY_KIND, b"title=T&names[%s]=x" % (b"9" * 5_000), FORM)

    assert list(problem["errors"].values()) == [["This workflow has no such parameter."]]


def test_json_in_a_form_is_not_endlessly_deep(refused: Any) -> None:
    problem = refused(EVERY_KIND, {"title": "T", "extra": "[" * 100_000}, "")

    assert list(problem["errors"]) == ["extra"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"limit=1", "title"),
        (b"title=T&limit=one", "limit"),
        (b"title=a%00b", "title"),
        (b"title=T&names=%00", "names"),
        (b"title=T&more=1&less=2", "more"),
        (b"title=T&size.width=x", "size.width"),
        (b"title=T&size.depth=1", "size.depth"),
        (b"title=T&file=text", "file"),
        (b"title=T&extra={", "extra"),
    ],
)
def test_a_wrong_field_of_a_form_is_named(refused: Any, body: bytes, field: str) -> None:
    problem = refused(EVERY_KIND, body, FORM)

    assert field in problem["errors"]


def test_too_many_fields(refused: Any) -> None:
    refused(EVERY_KIND, "&".join(f"f{n}=1" for n in range(2_000)).encode(), FORM)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--edge\r\nbroken", BOUNDARY),
        (b"", BOUNDARY),
        (b"--edge--", BOUNDARY),
        (b"title=T", "multipart/form-data"),
        (b"title=T", "multipart/form-data; boundary="),
        (b"--\xff", "multipart/form-data; boundary=\xff"),
        (
            b'--edge\r\nContent-Disposition: form-data; name="title"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\n%%%\r\n--edge--\r\n",
            BOUNDARY,
        ),
    ],
)
def test_broken_multipart(refused: Any, body: bytes, content_type: str) -> None:
    refused(EVERY_KIND, body, content_type)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "nonsense", "a/b/c", "image/png"]
)
@pytest.mark.parametrize("path", [EVERY_KIND, "/workflows/noops/"])
def test_a_type_that_is_not_taken(refused: Any, path: str, kind: str) -> None:
    refused(path, b"title", kind, status=415)


def test_a_file_where_text_is_wanted(refused: Any) -> None:
    for field in ("title", "limit", "ratio", "careful", "colour", "extra", "names", "size.width"):
        file = SimpleUploadedFile("7", b"7")
        problem = refused(EVERY_KIND, {"title": "T", field: file}, "")
        assert list(problem["errors"]) == [field.partition(".")[0]]


def test_an_empty_file(refused: Any) -> None:
    problem = refused(EVERY_KIND, {"title": "T", "file": SimpleUploadedFile("a.csv", b"")}, "")

    assert problem["errors"] == {"file": ["The submitted file is empty."]}


def test_two_files_where_one_is_wanted_and_a_file_that_nobody_wants(refused: Any) -> None:
    problem = refused(EVERY_KIND, {"title": "T", "other": SimpleUploadedFile("a", b"a")}, "")

    assert list(problem["errors"]) == ["other"]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\windows\\system.ini",
        "C:\\a.csv",
        "..",
        ".",
        "a/..",
        "x" * 5_000 + ".csv",
        "𠀀" * 100 + ".csv",
        "é" * 100 + "." + "ü" * 100,
        "a\x00b.csv",
        "a\r\nb.csv",
        "%2e%2e%2fa.csv",
        "\u202egpj.csv",
        " ",
        "CON",
    ],
    ids=lambda name: repr(name)[:20],
)
def test_a_files_name_stays_harmless(
    owner: User, api: Api, form_flow: Workflow, media: Path, name: str
) -> None:
    file = SimpleUploadedFile("a.csv", b"a,b")
    file._name = name  # type: ignore[attr-defined] # as a client may write it
    client = api(owner)
    client.raise_request_exception = False

    response = client.post(EVERY_KIND, {"title": "T", "file": file}, format="multipart")

    if len(name) > 1_000:  # more than Django reads of a part's head
        assert response.status_code == 400
        assert not Run.objects.exists()
        return
    assert response.status_code == 202, response.content
    run = Run.objects.get()
    if name.rpartition("/")[2] in ("..", "."):  # no name at all: for Django, no file
        assert run.params.keys().isdisjoint({"file"})
        return
    (stored,) = [path for path in media.rglob("*") if path.is_file()]
    assert stored.parent == media / "runs" / str(run.pk)
    assert run.params["file"] == str(stored.relative_to(media))
    assert stored.read_bytes() == b"a,b"


@pytest.mark.parametrize("id", ["1", "none", "0" * 36, "%00", "a" * 300, "..", "é"])
@pytest.mark.parametrize("then", ["", "cancel/", "retry/"])
def test_an_id_that_is_no_uuid_is_not_found(owner: User, api: Api, id: str, then: str) -> None:
    response = api(owner).post(f"/tasks/{id}/{then}")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["%00", "a" * 5_000, "é", " ", "main_flow%2f", "Main_Flow"])
def test_a_name_that_is_no_workflow_is_not_found(owner: User, api: Api, name: str) -> None:
    response = api(owner).post(f"/workflows/{name}/", {}, format="json")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", None),
        (b"[]", "non_field_errors"),
        (b'"skip"', "non_field_errors"),
        (b"[" * 100_000, None),
        (b'{"step": 5e400}', "non_field_errors"),
        (b'{"step": "\\u0000"}', "step"),
        (b'{"step": "no such"}', "non_field_errors"),
        (b'{"step": "func_1", "inputs": [1]}', "inputs"),
        (b'{"step": "func_1", "inputs": {"a": "\\u0000"}}', "inputs"),
        (b'{"step": "func_1", "inputs": {"a": "\\ud800"}}', "inputs"),
        (b'{"step": "func_1", "inputs": {"a": 1e999}}', "inputs"),
        (b'{"step": "func_1", "skip": true, "result": "\\u0000"}', "result"),
        (b'{"step": "func_1", "skip": "perhaps"}', "skip"),
        (b'{"steps": "func_1"}', "steps"),
    ],
)
def test_a_bad_retry_changes_nothing(
    owner: User, api: Api, make_run: MakeRun, body: bytes, field: str | None
) -> None:
    run, client = make_run(owner, state="FAILURE"), api(owner)
    client.raise_request_exception = False

    response = client.post(f"/tasks/{run.pk}/retry/", body, content_type=JSON)

    assert response.status_code == 400, response.content
    assert response["Content-Type"] == "application/problem+json"
    if field is not None:
        assert list(response.json()["errors"]) == [field]
    assert Run.objects.get().state == "FAILURE"


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
def test_a_bad_idempotency_key_is_named(owner: User, api: Api, key: str) -> None:
    response = api(owner).post(
        "/workflows/noops/", {}, format="json", headers={"Idempotency-Key": key}
    )

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["Idempotency-Key"]
    assert not Run.objects.exists()


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*;q=x"])
def test_an_answer_that_nobody_asked_for(owner: User, api: Api, accept: str) -> None:
    response = api(owner).get(f"/tasks/{uuid4()}/", headers={"Accept": accept})

    assert response.status_code in (404, 406)
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("tag", ["", "*", '"', "W/", "\x00", '"a", ' * 3_000, "ü", 'W/"a.b.c"'])
def test_a_tag_that_is_none_gets_the_status(
    owner: User, api: Api, make_run: MakeRun, tag: str
) -> None:
    response = api(owner).get(f"/tasks/{make_run(owner).pk}/", headers={"If-None-Match": tag})

    assert response.status_code in (200, 304)
