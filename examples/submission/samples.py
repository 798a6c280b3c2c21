"""A table of samples, its batches and their states, in plain Python without Celery."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["BATCH_SIZE", "ERROR", "READY", "SUBMITTED", "merged_state", "problems", "rows_of"]

BATCH_SIZE = 100
ERROR, READY, SUBMITTED = "ERROR", "READY", "SUBMITTED"
PRECEDENCE = (ERROR, READY, SUBMITTED)
"""What a submission is that has batches in several states: the first of these that occurs."""

SCHEMA = {
    "type": "object",
    "properties": {
        "sample": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{4}$"},
        "organism": {"type": "string", "minLength": 1},
        "collected": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        "volume_ml": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    },
    "required": ["sample", "organism", "collected", "volume_ml"],
    "additionalProperties": False,
}
VALIDATOR = Draft202012Validator(SCHEMA)


def rows_of(content: bytes) -> list[dict[str, Any]]:
    """The rows of a CSV file, by the names in its first row.

    Raises:
        ValueError: it is not UTF-8, or has no rows.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError("the table is not UTF-8 text: save it as UTF-8") from exc
    # A row that is too long has its other cells under None, which is not a name of JSON.
    rows = list(csv.DictReader(io.StringIO(text, newline=""), restkey="(more cells)", strict=True))
    if not rows:
        raise ValueError("the table has no rows below its header")
    return rows


def problems(rows: Iterable[dict[str, Any]], first: int) -> Iterator[str]:
    """What is wrong with these rows, a sentence for each problem; `first` is the first's number."""
    for number, row in enumerate(rows, first):
        for error in sorted(VALIDATOR.iter_errors(row), key=str):
            where = ".".join(map(str, error.path))
            yield f"row {number}{f', {where}' if where else ''}: {error.message}"


def merged_state(states: Iterable[str]) -> str:
    """The state of all batches together: ERROR before READY before SUBMITTED."""
    found = set(states)
    return next((state for state in PRECEDENCE if state in found), SUBMITTED)
