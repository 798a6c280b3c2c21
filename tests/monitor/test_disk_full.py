"""A full disk is reported as such, and leaves no files, partial uploads or rows."""

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from psycopg import errors
from rest_framework.test import APIClient

from monitor.models import ApiToken
from parent.definition.workflow import Workflow
from parent.models import Run
from parent.store.outage import is_disk_full

SIZE = 12_000_000
"""Larger than the tests' database, which is written too."""


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Limit the size of this process's files. The system then refuses writes as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE - 1, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def caller(owner: User, way: str) -> APIClient:
    client = APIClient(raise_request_exception=False)
    if way == "token":
        client.credentials(HTTP_AUTHORIZATION=f"Token {ApiToken.objects.issue(owner)}")
    else:
        client.force_login(owner)
    return client


@pytest.mark.parametrize("when", ["while it is received", "when it is stored"])
@pytest.mark.parametrize("way", ["token", "session", "page"])
def test_an_upload_that_does_not_fit(
    owner: User,
    form_flow: Workflow,
    media: Path,
    settings: Any,
    small_disk: None,
    way: str,
    when: str,
) -> None:
    if when == "when it is stored":
        settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * SIZE
    path = "/start/every_kind/" if way == "page" else "/workflows/every_kind/"
    body = {"title": "T", "file": SimpleUploadedFile("a.csv", b"a" * SIZE)}
    accept = "text/html" if way == "page" else "application/json"

    response = caller(owner, way).post(path, body, format="multipart", headers={"Accept": accept})

    assert response.status_code == 507, response.content
    assert "no space left" in response.content.decode()
    if way != "page":
        assert response["Content-Type"] == "application/problem+json"
        assert json.loads(response.content)["title"] == "Insufficient Storage"
    assert not [left for left in media.rglob("*") if left.is_file()]
    assert not Run.objects.exists()


@pytest.fixture
def token(transactional_db: None, owner: User) -> str:
    return ApiToken.objects.issue(owner)


@pytest.fixture
def full_database(token: str) -> Iterator[None]:
    """SQLite refuses every write that needs another page."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL says so by a code, see below.")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE filler (text)")
        cursor.execute("PRAGMA max_page_count = 1")  # that is, what it has now
        for size in (4_000, 400, 40, 4):
            with suppress(OperationalError):
                while True:
                    cursor.execute("INSERT INTO filler VALUES (zeroblob(%s))", [size])
    yield
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")
        cursor.execute("DROP TABLE filler")


def test_a_database_that_is_full(
    token: str, form_flow: Workflow, media: Path, full_database: None
) -> None:
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    file, long = SimpleUploadedFile("a.csv", b"a,b"), json.dumps("x" * 100_000)
    body = {"title": "T", "extra": long, "file": file}  # of more than is free in any page

    response = client.post("/workflows/every_kind/", body, format="multipart")

    assert response.status_code == 507, response.content
    assert not [left for left in media.rglob("*") if left.is_file()]


@pytest.mark.parametrize(
    ("cause", "full"),
    [(errors.DiskFull("no space left on device"), True), (errors.AdminShutdown("gone"), False)],
)
def test_postgresql_says_it_by_a_code(cause: Exception, full: bool) -> None:
    raised = OperationalError(str(cause))
    raised.__cause__ = cause

    assert is_disk_full(raised) is full
