"""The children: split the table, validate and submit a batch, merge the states."""

import json
from itertools import islice
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.files.storage import default_storage

from children import Progress, child_task
from examples.submission.samples import BATCH_SIZE, ERROR, merged_state, problems, rows_of

__all__ = ["Busy", "InvalidRows", "Refused", "merge", "split", "submit", "validate"]

SHOWN = 3
"""Problems that the error of a batch names."""
TIMEOUT = 10
"""Seconds that the service may take for an answer."""


class InvalidRows(ValueError):
    """Rows of a batch do not fit the schema. The message names the first of them."""


class Busy(Exception):
    """The service cannot take the batch now: try again."""


class Refused(Exception):
    """The service does not take the batch: trying again does not help."""


def _rows(table: str, first: int) -> list[dict[str, Any]]:
    """The rows of the batch that begins with this row; the first row is 1."""
    with default_storage.open(table, "rb") as file:
        return rows_of(file.read())[first - 1 : first - 1 + BATCH_SIZE]


@child_task(name="submission.split")
def split(progress: Progress, table: str) -> list[dict[str, Any]]:
    """The batches of a table: the name of each, and its first row."""
    with default_storage.open(table, "rb") as file:
        count = len(rows_of(file.read()))
    firsts = range(1, count + 1, BATCH_SIZE)
    return [{"batch": f"{n}-{min(n + BATCH_SIZE - 1, count)}", "first": n} for n in firsts]


@child_task(name="submission.validate")
def validate(progress: Progress, table: str, batch: str, first: int) -> dict[str, Any]:
    """Check the rows of a batch against the schema; return the batch.

    Raises:
        InvalidRows: some do not fit.
    """
    found = list(islice(problems(_rows(table, first), first), SHOWN + 1))
    if found:
        raise InvalidRows("; ".join([*found[:SHOWN], *(["..."] if len(found) > SHOWN else [])]))
    return {"batch": batch, "first": first}


@child_task(name="submission.submit")
def submit(progress: Progress, table: str, batch: str, first: int) -> str:
    """Send a batch to the service; return the state that it is in there.

    The service knows batches by their names, so one that is sent twice is stored once.

    Raises:
        Busy: the service could not take it now.
        Refused: it never will.
    """
    url = getattr(settings, "SUBMISSION_URL", "http://127.0.0.1:8100/samples")
    if not url.startswith(("http://", "https://")):
        raise Refused(f"SUBMISSION_URL is {url!r}: give an http or https address")
    content = json.dumps({"batch": batch, "rows": _rows(table, first)}).encode()
    request = Request(url, content, {"Content-Type": "application/json"})  # noqa: S310 - checked
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - checked above
            state: str = json.load(answer)["state"]
    except HTTPError as exc:
        if exc.code >= 500:
            raise Busy(f"the service answered {exc.code}") from exc
        raise Refused(f"the service answered {exc.code}") from exc
    except (URLError, TimeoutError, ConnectionError) as exc:
        raise Busy(f"the service at {url} does not answer: {exc}") from exc
    return state


@child_task(name="submission.merge")
def merge(progress: Progress, batches: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of the whole submission, and that of each batch with its error."""
    ordered = sorted(batches, key=lambda each: int(each["batch"].split("-")[0]))
    counts = {"errors": sum(each["state"] == ERROR for each in batches), "batches": len(batches)}
    return {"state": merged_state(each["state"] for each in batches), **counts, "of": ordered}
