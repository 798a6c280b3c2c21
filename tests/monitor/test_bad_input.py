"""Bad input gets a 4xx problem document that names the field, never a 500 or a partial run."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from django_celery_results.models import TaskResult
from rest_framework.fields import ListField
from rest_framework.test import APIClient

from monitor.api.body_params import params_of
from monitor.models import ApiToken
from parent.definition.workflow import Workflow
from parent.models import Run, Step

Api = Callable[[User | None], APIClient]
MakeRun = Callable[..., Run]
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BOUNDARY = "multipart/form-data; boundary=edge"
EVERY_KIND = "/workflows/every_kind/"


@pytest.fixture
def refused(owner: User, api: Api, form_flow: Workflow, media: Path) -> Callable[..., Any]:
    """Posts an input that must be refused, and returns the problem document."""

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
def test_an_unknown_charset_is_refused(refused: Any, kind: str, charset: str) -> None:
    refused(EVERY_KIND, b'{"limit": 1', f"{kind}; charset={charset}")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"title": "T", "title": "T"}', "title"),
        (b'{"title": "T", "limit": 1, "\\u006cimit": 2}', "limit"),
        (b'{"title": "T", "extra": [{"a": {"b": 1, "c": 2, "b": 1}}]}', "b"),
        (b'{"title": "T", "": 1, "": 1}', ""),
        (b'{"title": "T", "\\ud800": 1, "\\ud800": 1}', "\ud800"),
        (b'{"title": "T", "%s": 1, "%s": 1}' % (b"k" * 5_000, b"k" * 5_000), "k" * 100),
        (b"{" + b"".join(b'"k%d":1,' % n for n in range(100_000)) + b'"k9":1}', "k9"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_key_that_is_there_twice_is_named(refused: Any, body: bytes, key: str) -> None:
    """As a field of a form that is sent twice: which of the two is meant?"""
    problem = refused(EVERY_KIND, body, JSON)

    assert f"the key {key!r} is there twice" in problem["detail"]
    assert len(problem["detail"]) < 200


CODECS = ["zlib", "rot13", "undefined", "unicode_escape", "raw-unicode-escape", "utf-7", "utf-16"]
"""Python's own, by whose names Django would read a form."""


@pytest.mark.parametrize("charset", [*CODECS, "latin-1", "no-such"])
@pytest.mark.parametrize("path", [EVERY_KIND, "/start/every_kind/", "/runs/bulk/", "/login/"])
@pytest.mark.parametrize("kind", [FORM, BOUNDARY])
def test_a_form_in_another_charset_is_refused(
    owner: User, api: Api, form_flow: Workflow, kind: str, path: str, charset: str
) -> None:
    client: Any = api(None if path == "/login/" else owner)
    client.raise_request_exception = False
    body = b"--edge\r\nContent-Disposition: form-data; name=title\r\n\r\n\\ud800\r\n--edge--\r\n"
    body = b"title=\\ud800" if kind == FORM else body

    answer = client.generic("POST", path, body, f"{kind}; charset={charset}")

    assert answer.status_code == 400
    assert charset in answer.json()["detail"]
    assert client.generic("POST", path, body, f"{kind}; charset=UTF-8").status_code != 400


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


MANY = 3_000
"""A little more or less than `MAX_BODY_VALUES` in these tests."""


@pytest.mark.parametrize(
    "params",
    [
        {f"k{n}": 1 for n in range(MANY)},
        {"title": "T", "names": [[]] * MANY},
        {"title": "T", "extra": [[1]] * MANY},
        {"title": "T", "labels": {f"k{n}": 1 for n in range(MANY)}},
        {"title": "T", "size": {f"k{n}": 1 for n in range(MANY)}},
        {"title": "T", "names": [{f"k{n}": 1 for n in range(100)}] * (MANY // 100)},
        {"title": "T", "no such": [[[]] * MANY]},
    ],
    ids=[
        *("unknown fields", "a list", "free JSON", "an object of any keys"),
        *("unknown fields of a nested object", "objects in a list", "inside an unknown field"),
    ],
)
@pytest.mark.parametrize("kind", [JSON, FORM])
def test_a_body_of_too_many_values_is_not_looked_at(
    refused: Any, settings: Any, params: Any, kind: str
) -> None:
    settings.MAX_BODY_VALUES = MANY - 100
    if kind == FORM:
        if len(params) > 2:
            return  # Django counts the fields of a form
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10**8
        told = {name: v if isinstance(v, str) else json.dumps(v) for name, v in params.items()}
        if set(told) & {"names", "extra", "no such"}:
            return  # a text there, whose parts nobody counts
        body = urlencode(told).encode()
    else:
        body = json.dumps(params).encode()

    problem = refused(EVERY_KIND, body, kind)

    assert (
        "It holds more than 2,900 values. Send less, or send a file."
        in (problem["errors"]["non_field_errors"])
    )
    assert len(problem["errors"]) <= 12
    assert len(json.dumps(problem)) < 2_500


@pytest.mark.parametrize(
    ("params", "first", "more"),
    [
        ({"title": "T"} | {f"k{n}": 1 for n in range(MANY)}, "k9", "non_field_errors"),
        ({"title": "T", "names": [[]] * MANY}, "names.9", "names"),
        ({"title": "T", "size": {f"k{n}": 1 for n in range(MANY)}}, "size.k9", "size"),
        ({"title": "T"} | {"k" * 2_000 + str(n): 1 for n in range(MANY // 3)}, "", ""),
    ],
    ids=["unknown fields", "a list", "a nested object", "very long names"],
)
def test_of_errors_without_end_the_first_are_named(
    refused: Any, params: Any, first: str, more: str
) -> None:
    problem = refused(EVERY_KIND, json.dumps(params).encode(), JSON)

    errors = problem["errors"]
    assert len(errors) <= 11
    assert len(json.dumps(problem)) < 50_000
    if first:
        assert first in errors
        assert errors[more] == ["And 2,990 more like these."]
        assert len(json.dumps(problem)) < 2_500


def test_every_declared_field_that_is_wrong_is_named_whatever_else_is(refused: Any) -> None:
    wrong = {"limit": "x", "ratio": "x", "day": "x", "careful": 7, "colour": 7, "sizes": 7}
    many = {f"k{n}": 1 for n in range(1_000)}

    errors = refused(EVERY_KIND, json.dumps(many | wrong).encode(), JSON)["errors"]

    assert {"title", *wrong} <= set(errors)
    assert errors["non_field_errors"] == ["And 990 more like these."]


@pytest.mark.parametrize("key", ["rows[{}]a", "names[{}]", "size.w{}", "labels.w{}", "names"])
def test_a_field_of_a_form_is_read_once(
    form_flow: Workflow, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Also if it is repeated: DRF scans the whole form for each field."""
    reads: list[str] = []
    get_value = ListField.get_value

    def read(field: Any, data: Any) -> Any:
        reads.append(field.field_name)
        return get_value(field, data)

    monkeypatch.setattr(ListField, "get_value", read)
    data = QueryDict("&".join(f"{key.format(n)}=x" for n in range(900)))

    params_of(form_flow, data)

    assert len(reads) <= 1


@pytest.mark.parametrize("lines", [MANY, 10 * MANY])
def test_a_page_does_not_show_again_what_is_too_much(
    owner: User, api: Api, form_flow: Workflow, settings: Any, lines: int
) -> None:
    settings.MAX_BODY_VALUES = MANY - 100
    form = {"title": "kept", "names": "a\n" * lines}

    page = api(owner).post("/start/every_kind/", form, format="multipart")

    assert page.status_code == 400
    assert "It holds more than 2,900 values" in page.content.decode()
    assert 'value="kept"' in page.content.decode()
    assert len(page.content) < 20_000


@pytest.mark.parametrize("json", [r'"\ud800"', r'{"\ud800": 1}', r'["\ud800"]', r'{"a": "\u0000"}'])
@pytest.mark.parametrize("field", ["labels", "size", "extra", "names"])
def test_a_page_shows_again_what_nothing_can_store(
    owner: User, api: Api, form_flow: Workflow, field: str, json: str
) -> None:
    client = api(owner)
    client.raise_request_exception = False

    page = client.post("/start/every_kind/", {field: json}, format="multipart")

    assert page.status_code == 400
    assert 'href="#field-title"' in page.content.decode()
    assert not Run.objects.exists()


NUL_IN_FORMS = [
    *(("/notifications/", {"do": do, "key": "a\0b"}) for do in ("switch-on", "rotate", "remove")),
    ("/notifications/", {"do": "replay", "key": f"{uuid4()}\0"}),
    ("/notifications/", {"do": "a\0b"}),
    ("/notifications/?state=a%00b&from=%00", {}),
    ("/runs/bulk/", {"do": "cancel", "run": "a\0b"}),
    ("/runs/bulk/", {"do": "cancel", "all": "1", "query": "q=%00&owner=%00&workflow=%00&day=%00"}),
    ("/runs/{run}/retry/", {"step": "a\0b"}),
    ("/runs/{run}/retry/", {"step": "func_1", "item": "a\0b"}),
    ("/runs/{run}/retry/", {"step": "a\0b", "how": "again"}),
    ("/runs/{run}/decide/a%00b/", {"decision": "approve"}),
    ("/runs/{run}/steps/a%00b/items/", {}),
    ("/runs/{run}/log/?step=a%00b&item=a%00b", {}),
    ("/runs/{run}/log.txt?step=a%00b&item=a%00b", {}),
    ("/tasks/{run}/steps/a%00b/items/", {}),
    ("/tasks/{run}/log/?step=a%00b", {}),
    ("/tasks/{run}/signals/a%00b/", {"a": "a\0b"}),
    ("/tasks/?workflow=a%00b", {}),
    ("/runs/?q=a%00b&owner=a%00b&workflow=a%00b&before=a%00b&day=a%00b", {}),
    ("/start/a%00b/", {}),
    ("/start/every_kind/?again=a%00b", {"title": "a\0b"}),
    ("/timetable/?page=a%00b", {}),
    ("/celery-progress/a%00b/", {}),
]


@pytest.mark.parametrize(("path", "form"), NUL_IN_FORMS)
def test_a_nul_is_no_server_error(
    staff: User, api: Api, make_run: MakeRun, form_flow: Workflow, path: str, form: dict[str, str]
) -> None:
    """PostgreSQL takes none in a text, not even to look for it."""
    staff.is_superuser = True
    staff.save()
    client, run = api(staff), make_run(staff, state="FAILURE")
    client.raise_request_exception = False
    address = path.format(run=run.pk)

    answers = [client.post(address, form), client.get(address)]

    assert all(answer.status_code < 500 for answer in answers)
    run.refresh_from_db()
    assert run.state == "FAILURE"


@pytest.mark.parametrize("wish", ["unknown", "inputs"])
def test_a_retry_names_the_first_of_what_it_does_not_know(
    owner: User, api: Api, make_run: MakeRun, wish: str
) -> None:
    run = make_run(owner, state="FAILURE")
    many = {f"k{n}": 1 for n in range(MANY)}
    body = many if wish == "unknown" else {"inputs": [many]}

    response = api(owner).post(f"/tasks/{run.pk}/retry/", body, format="json")

    assert response.status_code == 400
    assert len(response.content) < 2_500


@pytest.mark.parametrize("count", [900, 1_500])
def test_very_many_parameters_of_an_address(owner: User, api: Api, count: int) -> None:
    response = api(owner).get("/tasks/?" + "&".join(f"f{n}=1" for n in range(count)))

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert len(response.content) < 2_500


def test_a_hundred_thousand_ids(owner: User, api: Api) -> None:
    response = api(owner).get("/tasks/?ids=" + ",".join([str(uuid4())] * 100_000))

    assert response.json()["errors"] == {"ids": ["Ask for at most 100 ids at once."]}


@pytest.mark.parametrize("way", ["token", "session"])
def test_many_files(owner: User, form_flow: Workflow, way: str) -> None:
    client = APIClient()
    if way == "token":
        client.credentials(HTTP_AUTHORIZATION=f"Token {ApiToken.objects.issue(owner)}")
    else:
        client.force_login(owner)
    files = {f"f{n}": SimpleUploadedFile("a", b"a") for n in range(150)}

    response = client.post(EVERY_KIND, files, format="multipart")

    assert response.status_code == 400
    assert "too many files: 100 is the most" in response.json()["detail"]


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


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", ["T", "T"]),
        ("limit", ["1", "2"]),
        ("careful", ["true", "false"]),
        ("colour", ["r", "g"]),
        ("extra", ["1", "2"]),
        ("size", ['{"width": 1}', '{"width": 2}']),
        ("size.width", ["1", "2"]),
        ("labels", ["{}", "{}"]),
        ("labels.a", ["1", "2"]),
        ("file", ["one", "two"]),
        ("file", ["one", "same"]),
    ],
)
@pytest.mark.parametrize("kind", ["form", "multipart"])
def test_a_field_that_is_sent_twice(refused: Any, kind: str, field: str, values: list[str]) -> None:
    sent: Any = values
    if field == "file":
        sent = [SimpleUploadedFile("same", value.encode()) for value in values]
    body: Any = {"title": "T", field: sent}
    if kind == "form":
        if field == "file":
            return  # a plain form has none
        body = urlencode(body, doseq=True).encode()

    problem = refused(EVERY_KIND, body, FORM)

    assert problem["errors"] == {field.partition(".")[0]: ["Send it once, not several times."]}


@pytest.mark.parametrize(
    ("field", "text", "key"),
    [
        ("extra", '{"a": 1, "a": 2}', "a"),
        ("extra", '[{"b": {"c": 1, "c": 1}}]', "c"),
        ("size", '{"width": 1, "width": 2}', "width"),
        ("labels", '{"a": "1", "\\u0061": "2"}', "a"),
    ],
)
@pytest.mark.parametrize("path", [EVERY_KIND, "/start/every_kind/"])
def test_a_key_that_is_there_twice_in_the_json_of_a_form(
    owner: User, api: Api, form_flow: Workflow, path: str, field: str, text: str, key: str
) -> None:
    body = urlencode({"title": "T", field: text})

    answer = api(owner).post(path, body, content_type=FORM)

    assert answer.status_code == 400
    assert f"the key {key!r} is there twice" in html.unescape(answer.content.decode())
    assert not Run.objects.exists()


def test_a_nested_field_that_is_sent_twice_after_another_one(refused: Any) -> None:
    body = b"title=T&size.other=1&size.width=1&size.width=2"

    assert list(refused(EVERY_KIND, body, FORM)["errors"]) == ["size"]


@pytest.mark.parametrize(
    "key",
    [
        *("names[]", "names[x]", "names.0", "names[-1]", "names[", "sizes[0]", "sizes[]"),
        *("limit[0]", "limit.x", "title.", "title[", "day[]", "careful.x", "colour[0]", "file[0]"),
        *("size[width]", "size[]", "size.", "labels[a]", "labels[0]", "labels.", "extra[a]"),
        *("extra.a", "extra[0]"),
    ],
)
@pytest.mark.parametrize("path", [EVERY_KIND, "/start/every_kind/"])
def test_a_part_of_a_field_that_nothing_reads_is_refused(
    owner: User, api: Api, form_flow: Workflow, key: str, path: str
) -> None:
    answer = api(owner).post(path, urlencode({"title": "T", key: "1"}), content_type=FORM)

    assert answer.status_code == 400
    assert "This workflow has no such parameter." in html.unescape(answer.content.decode())
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        *("names=a&names[0]=b", "names[0]=b&names=a", 'names=["a"]&names[1]=b'),
        *('size={"width": 1}&size.width=2', 'labels={"a": "b"}&labels.a=1'),
    ],
)
def test_a_field_that_is_sent_whole_and_in_parts(refused: Any, body: str) -> None:
    problem = refused(EVERY_KIND, f"title=T&{body}".encode(), FORM)

    field = re.split(r"\W", body)[0]
    assert problem["errors"] == {field: ["Send it once, not several times."]}


def test_a_file_and_a_text_of_one_name(refused: Any) -> None:
    both = ["text", SimpleUploadedFile("a", b"a")]
    for sent in (both, both[::-1]):
        assert list(refused(EVERY_KIND, {"title": "T", "file": sent}, "")["errors"]) == ["file"]


def test_a_file_that_nobody_wants(refused: Any) -> None:
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
        *("...", "a/", "/", "\\", "\x01\x02", ". .", "a.csv/.."),
        *("x" * 5_000 + ".csv", "x" * 3_000, "a." + "x" * 3_000, "." * 3_000, "é" * 3_000 + ".csv"),
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

    assert response.status_code == 202, response.content
    run = Run.objects.get()
    (stored,) = [path for path in media.rglob("*") if path.is_file()]
    assert stored.parent == media / "runs" / str(run.pk)
    assert run.params["file"] == str(stored.relative_to(media))
    assert stored.read_bytes() == b"a,b"
    # A line's end inside a name ends the header, and the name with it.
    assert stored.suffix == ".csv" or not name.endswith(".csv") or "\r\n" in name
    assert stored.name.isprintable()
    assert len(stored.name.encode()) <= 255


@pytest.mark.parametrize("way", ["session", "token", "page"])
@pytest.mark.parametrize("name", ["..", "x" * 3_000 + ".csv", "a." + "x" * 3_000])
def test_a_large_file_may_have_any_name(
    owner: User, form_flow: Workflow, media: Path, settings: Any, name: str, way: str
) -> None:
    """Each way has its own parser, and a large file is on disk before it is read."""
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1
    client = APIClient()
    if way == "token":
        client.credentials(HTTP_AUTHORIZATION=f"Token {ApiToken.objects.issue(owner)}")
    else:
        client.force_login(owner)
    file = SimpleUploadedFile("a.csv", b"a,b")
    file._name = name  # type: ignore[attr-defined]
    path = "/start/every_kind/" if way == "page" else EVERY_KIND

    response = client.post(path, {"title": "T", "file": file}, format="multipart")

    assert response.status_code == (302 if way == "page" else 202), response.content
    (stored,) = [path for path in media.rglob("*") if path.is_file()]
    assert stored.read_bytes() == b"a,b"
    assert media / Run.objects.get().params["file"] == stored
    assert oct(stored.stat().st_mode & 0o777) == "0o600"


def test_a_field_without_a_file_stays_one(owner: User, api: Api, form_flow: Workflow) -> None:
    """An empty file field, as browsers send it."""
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="title"\r\n\r\nT\r\n'
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n--edge--\r\n"
    )

    response = api(owner).post(EVERY_KIND, body, content_type=BOUNDARY)

    assert response.status_code == 202, response.content
    assert "file" not in Run.objects.get().params


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
def test_a_malformed_etag_is_harmless(owner: User, api: Api, make_run: MakeRun, tag: str) -> None:
    response = api(owner).get(f"/tasks/{make_run(owner).pk}/", headers={"If-None-Match": tag})

    assert response.status_code in (200, 304)
