"""What stands beside a bar."""

from typing import Any

import pytest

from monitor.texts.status_words import count, is_unknown, share

BASE = {"state": "PROGRESS", "status": "PROGRESS", "iteration": 0, "total": None, "completion": 0.0}
TWO_STEPS = {"steps": [{"status": "OK"}, {"status": "PENDING"}]}


@pytest.mark.parametrize(
    ("columns", "unknown", "counted", "shown"),
    [
        ({}, True, "", ""),
        ({"iteration": 54}, True, "54 done", "54 done"),
        ({"state": "STARTED", "iteration": 1}, True, "1 done", "1 done"),
        ({"state": "PENDING"}, False, "", "0 %"),
        ({"state": "FAILURE", "status": "ERROR", "iteration": 54}, False, "54 done", "0 %"),
        ({"state": "SUCCESS", "status": "OK", "iteration": 54}, False, "54 done", "100 %"),
        ({"total": 10}, False, "0 of 10", "0 %"),
        (
            {"total": 10_000, "iteration": 4_000, "completion": 40.0},
            False,
            "4,000 of 10,000",
            "40 %",
        ),
        # The count of the child says more than that no step is done.
        ({"iteration": 54, **TWO_STEPS}, True, "1 of 2 steps", "54 done"),
        ({"completion": 50.0, "iteration": 54, **TWO_STEPS}, False, "1 of 2 steps", "50 %"),
        ({"total": 10, "iteration": 4, "steps": [{"status": "OK"}]}, False, "4 of 10", "0 %"),
    ],
)
def test_what_is_known_of_the_progress(
    columns: dict[str, Any], unknown: bool, counted: str, shown: str
) -> None:
    status = BASE | columns

    assert (is_unknown(status), count(status), share(status)) == (unknown, counted, shown)
