"""The submission example: a real table, and a real HTTP service that fails now and then."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.files.base import ContentFile

import examples.submission
from examples.submission.samples import merged_state, problems, rows_of
from examples.submission.service import Service
from examples.submission.tasks import Busy, Refused, submit
from examples.submission.workflows import submission
from parent.inline import run_inline
from parent.models import Item, RunState
from tests.examples.conftest import Store

SAMPLES = Path(examples.submission.__path__[0]) / "data" / "samples.csv"
HEADER = "sample,organism,collected,volume_ml\n"
GOOD = "SA0001,Homo sapiens,2026-01-02,1.5\n"


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    with Service() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings.SUBMISSION_URL = server.url
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.django_db
def test_the_shipped_table_is_submitted_and_the_invalid_batch_stops_no_other(
    service: Service,
) -> None:
    run = run_inline(submission, table=ContentFile(SAMPLES.read_bytes(), "samples.csv"))

    assert run.state == RunState.SUCCESS
    assert [(each["batch"], each["state"]) for each in run.result["of"]] == [
        ("1-100", "SUBMITTED"),
        ("101-200", "ERROR"),
        ("201-300", "SUBMITTED"),
        ("301-400", "READY"),
        ("401-450", "SUBMITTED"),
    ]
    assert (run.result["state"], run.result["errors"]) == ("ERROR", 1)
    assert "row 157, volume_ml: 'a little' does not match" in run.result["of"][1]["error"]
    assert {name: len(rows) for name, rows in service.stored.items()} == {
        **{"1-100": 100, "201-300": 100, "301-400": 100, "401-450": 50}
    }
    # The third batch was refused once, and retried.
    assert service.tries["301-400"] == 2
    retried = Item.objects.get(step__run=run, step__name="submit", attempt=2)
    assert (retried.key, retried.state, retried.retries_used) == ("301-400", "OK", 1)


@pytest.mark.django_db
def test_a_service_that_never_answers_is_an_error_of_each_batch(
    settings: Any,
) -> None:
    with Service() as gone:
        settings.SUBMISSION_URL = gone.url

    run = run_inline(submission, table=ContentFile((HEADER + GOOD).encode(), "one.csv"))

    assert (run.state, run.result["state"]) == (RunState.SUCCESS, "ERROR")
    assert "does not answer" in run.result["of"][0]["error"]
    assert run.result["of"][0]["error"].endswith("(after 5 attempts)")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the table has no rows"),
        (HEADER.encode(), "the table has no rows"),
        (b"\xff\xfe", "the table is not UTF-8 text"),
    ],
)
def test_what_is_no_table_fails_at_once(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rows_of(content)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (GOOD, []),
        ("sa1,x,2026-01-02,1\n", ["row 7, sample: 'sa1' does not match"]),
        ("SA0001,,2026-01-02,1\n", ["row 7, organism: '' should be non-empty"]),
        ("SA0001,x,2026-01-02\n", ["row 7, volume_ml: None is not of type 'string'"]),
        (GOOD.replace("\n", ",more\n"), ["row 7: Additional properties are not allowed"]),
    ],
)
def test_a_problem_names_its_row_and_column(row: str, says: list[str]) -> None:
    found = list(problems(rows_of((HEADER + row).encode()), 7))

    assert [text[: len(start)] for text, start in zip(found, says, strict=True)] == says


@pytest.mark.parametrize(
    ("states", "merged"),
    [
        (["SUBMITTED", "READY", "ERROR"], "ERROR"),
        (["SUBMITTED", "READY"], "READY"),
        (["SUBMITTED"], "SUBMITTED"),
        ([], "SUBMITTED"),
    ],
)
def test_an_error_goes_before_ready_goes_before_submitted(states: list[str], merged: str) -> None:
    assert merged_state(states) == merged


@pytest.mark.parametrize(("code", "error"), [(500, Busy), (503, Busy), (404, Refused)])
def test_only_what_may_help_is_tried_again(
    service: Service, store: Store, monkeypatch: pytest.MonkeyPatch, code: int, error: Any
) -> None:
    monkeypatch.setattr(service, "take", lambda *_: (code, {}))
    table = store(HEADER + GOOD)

    with pytest.raises(error, match=str(code)):
        submit(table=table, batch="1-1", first=1)


def test_an_address_that_is_none_says_so(store: Store, settings: Any) -> None:
    settings.SUBMISSION_URL = "file:///etc/passwd"

    with pytest.raises(Refused, match="give an http or https address"):
        submit(table=store(HEADER + GOOD), batch="1-1", first=1)
