"""The example, as its user meets it: a file goes in by HTTP, and a profile comes out."""

import csv
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from rest_framework.test import APIClient

import examples.csv_profile
from parent.models import Run
from tests.system.conftest import StartWorker
from tests.waiting import ended

DATA = Path(examples.csv_profile.__file__).parent / "data" / "time_zones.csv"


@pytest.fixture
def client(transactional_db: None) -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.create_user("ada"))
    return client


def upload(client: APIClient, content: bytes) -> Run:
    file = SimpleUploadedFile("zones.csv", content, content_type="text/csv")
    address = reverse("monitor:workflow-start", args=["csv_profile"])
    answer = client.post(address, {"file": file}, format="multipart")
    assert answer.status_code == 202, answer.json()
    return Run.objects.get(pk=answer.json()["task_id"])


def test_an_uploaded_file_is_profiled_and_deleted_with_its_run(
    start_worker: StartWorker, client: APIClient, media: Path
) -> None:
    start_worker("-P", "prefork", "-c", "1", MEDIA_ROOT=str(media))
    with DATA.open(newline="") as file:
        header, *rows = csv.reader(file)

    run = ended(upload(client, DATA.read_bytes()))

    address = reverse("monitor:task-detail", args=[run.pk])
    told = client.get(address).json()
    assert (told["status"], told["error"], told["completion"]) == ("OK", None, 100.0)
    assert told["result"]["rows"] == len(rows)
    assert [column["name"] for column in told["result"]["columns"]] == header
    assert default_storage.exists(run.params["file"])

    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    assert not default_storage.exists(run.params["file"])


def test_a_broken_file_comes_back_as_an_error_that_says_where(
    start_worker: StartWorker, client: APIClient, media: Path
) -> None:
    start_worker("-P", "prefork", "-c", "1", MEDIA_ROOT=str(media))

    run = ended(upload(client, b'name,size\na,1\n"b,2\nc,3\n'))

    assert run.error is not None
    assert run.error.startswith("Error in validate: ")
    assert "line 3" in run.error
