"""The status: the rows' values in the format of the HTTP contract."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from monitor.polling.poll_after import poll_after_ms, step_of_time
from monitor.runs.status import child_status_of, status_of, step_state
from parent.models import Run, Step

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
RUN_ID = UUID("0d3f0000-0000-4000-8000-000000000001")
CHILD_ID = "0d3f0000-0000-4000-8000-000000000002"


def seconds_ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def a_run(**columns: Any) -> Run:
    return Run(
        **{
            "id": RUN_ID,
            "workflow": "main_flow",
            "state": "PROGRESS",
            "iteration": 37,
            "total": 100,
            "completion": 18.5,
            "message": "func_1: 37 of 100",
            "version": 12,
            "created_at": seconds_ago(11),
            "started_at": seconds_ago(10),
            "mirrored_at": NOW,
            **columns,
        }
    )


def a_step(**columns: Any) -> Step:
    return Step(
        **{
            "name": "func_1",
            "state": "RUNNING",
            "attempt": 1,
            "task_id": CHILD_ID,
            "iteration": 37,
            "total": 100,
            "completion": 37.0,
            "message": "37 of 100",
            "queued_at": seconds_ago(11),
            "started_at": seconds_ago(10),
            "reported_at": NOW,
            **columns,
        }
    )


def test_a_run_in_progress_has_exactly_the_shape_of_the_contract() -> None:
    assert status_of(a_run(), [a_step()], now=NOW) == {
        "task_id": str(RUN_ID),
        "run_id": str(RUN_ID),
        "parent_run_id": None,
        "periodic_task": None,
        "workflow": "main_flow",
        "title": "main_flow",
        "state": "PROGRESS",
        "iteration": 37,
        "total": 100,
        "completion": 18.5,
        "status": "PROGRESS",
        "message": "func_1: 37 of 100",
        "error": None,
        "result": None,
        "result_url": None,
        "result_size": None,
        "eta_seconds": 17.0,
        "waits_for": "",
        "waits_until": None,
        "in_line": [],
        "steps": [
            {
                "name": "func_1",
                "title": "func_1",
                "task_id": CHILD_ID,
                "state": "PROGRESS",
                "status": "PROGRESS",
                "iteration": 37,
                "total": 100,
                "completion": 37.0,
                "message": "37 of 100",
                "error": None,
                "waits_for": "",
                "waits_until": None,
                "attempt": 1,
                "when": "ok",
                "optional": False,
                "awaits": "",
                "items": None,
                "run_id": None,
                "queued_at": seconds_ago(11),
                "started_at": seconds_ago(10),
                "finished_at": None,
            }
        ],
        "created_at": seconds_ago(11),
        "started_at": seconds_ago(10),
        "finished_at": None,
        "poll_after_ms": 500,
        "version": 12,
    }


def test_a_run_that_ended_ok_has_its_result_and_nothing_to_wait_for() -> None:
    run = a_run(state="SUCCESS", completion=100.0, result={"total": 3}, finished_at=NOW)

    status = status_of(run, [], now=NOW)

    assert status["status"] == "OK"
    assert status["result"] == {"total": 3}
    assert status["eta_seconds"] is None
    assert status["poll_after_ms"] is None


def test_a_run_that_failed_has_its_error_and_no_result() -> None:
    run = a_run(state="FAILURE", error="Error in func_1: no", result={"half": 1}, finished_at=NOW)

    status = status_of(run, [], now=NOW)

    assert (status["status"], status["error"]) == ("ERROR", "Error in func_1: no")
    assert status["result"] is None
    assert status["poll_after_ms"] is None


@pytest.mark.parametrize(
    ("columns", "state", "status"),
    [
        ({"state": "WAITING"}, "PENDING", "PENDING"),
        ({"state": "QUEUED"}, "PENDING", "PENDING"),
        ({"state": "RUNNING", "reported_at": None}, "STARTED", "PROGRESS"),
        ({"state": "RUNNING"}, "PROGRESS", "PROGRESS"),
        ({"state": "OK"}, "SUCCESS", "OK"),
        ({"state": "ERROR"}, "FAILURE", "ERROR"),
        ({"state": "SKIPPED"}, "REVOKED", "PENDING"),
        ({"state": "CANCELLED"}, "REVOKED", "ERROR"),
    ],
)
def test_a_step_has_a_celery_state(columns: dict[str, Any], state: str, status: str) -> None:
    step = a_step(**columns)

    assert step_state(step) == state
    assert status_of(a_run(), [step], now=NOW)["steps"][0]["status"] == status


@pytest.mark.parametrize(("state", "message"), [("SKIPPED", "skipped"), ("CANCELLED", "cancelled")])
def test_the_message_tells_why_a_step_was_revoked(state: str, message: str) -> None:
    step = a_step(state=state, message="")

    assert status_of(a_run(), [step], now=NOW)["steps"][0]["message"] == message


def test_a_child_has_its_own_figures_in_the_shape_of_a_run() -> None:
    run, step = a_run(), a_step(state="OK", result=[1], completion=100.0, finished_at=NOW)

    child = child_status_of(run, step, now=NOW)

    assert set(child) == set(status_of(run, [step], now=NOW))
    assert (child["task_id"], child["run_id"]) == (CHILD_ID, str(RUN_ID))
    assert (child["state"], child["workflow"], child["steps"]) == ("SUCCESS", "main_flow", [])
    assert child["result"] == [1]
    assert child["poll_after_ms"] is None


def test_the_delay_of_a_retry_counts_and_runs_down() -> None:
    run = a_run(created_at=seconds_ago(300), started_at=seconds_ago(299), mirrored_at=NOW)
    step = a_step(
        **{"state": "QUEUED", "queued_at": seconds_ago(-60), "completion": 0.0, "pace": 10.0},
        **{"started_at": None, "reported_at": None},
    )

    def told(seconds: float) -> list[float]:
        now = NOW + timedelta(seconds=seconds)
        both = status_of(run, [step], now=now), child_status_of(run, step, now=now)
        return [status["eta_seconds"] for status in both]

    assert [told(seconds) for seconds in (0, 1, 5, 40, 59)] == [
        [eta, eta] for eta in (70, 69, 66, 38, 38)
    ]
    assert told(61) == [10, 10]


@pytest.mark.parametrize(
    ("quiet", "wait"), [(0, 500), (4.9, 500), (10, 1000), (60, 2000), (3600, 2000), (-3, 500)]
)
def test_a_client_is_asked_to_wait_longer_the_longer_nothing_moves(quiet: float, wait: int) -> None:
    assert poll_after_ms(seconds_ago(quiet), NOW, [a_step()]) == wait


def test_a_long_queue_is_polled_slowly_and_a_report_quickens_it() -> None:
    run = a_run(created_at=seconds_ago(90), started_at=seconds_ago(90))
    queued = a_step(state="QUEUED", queued_at=seconds_ago(90), started_at=None, reported_at=None)

    assert status_of(run, [queued], now=NOW)["poll_after_ms"] == 5000
    assert status_of(run, [queued, a_step()], now=NOW)["poll_after_ms"] == 500


def test_a_run_that_its_steps_have_left_behind_is_shown_as_they_have_it() -> None:
    """A tick writes the run's own row a moment later."""
    run = a_run(state="PENDING", completion=0.0, started_at=None, mirrored_at=seconds_ago(1))
    done = a_step(state="OK", completion=100.0, finished_at=NOW)
    queued = a_step(name="func_2", state="QUEUED", iteration=0, total=None, completion=0.0)

    status = status_of(run, [done, queued], now=NOW)

    assert (status["state"], status["status"], status["completion"]) == (
        "PROGRESS",
        "PROGRESS",
        50.0,
    )
    assert status["started_at"] == done.started_at
    assert status["message"].startswith("func_2")
    assert run.state == "PENDING"


@pytest.mark.parametrize(
    ("quiet", "counts"),
    [(-3, 0), (0, 0), (0.99, 0), (1, 1), (1.9, 1), (2, 2), (7.9, 4), (3600, 2048)],
)
def test_quiet_time_counts_in_doublings(quiet: float, counts: float) -> None:
    changed_at = seconds_ago(quiet)

    assert step_of_time(changed_at, NOW) == changed_at + timedelta(seconds=counts)


def test_a_status_stays_the_same_while_nothing_moves() -> None:
    run, step = a_run(), a_step(reported_at=seconds_ago(4))

    def at(seconds: float) -> dict[str, Any]:
        return status_of(run, [step], now=NOW + timedelta(seconds=seconds))

    assert at(0) == at(1) == at(3.9)
    assert at(0)["eta_seconds"] < at(4)["eta_seconds"]
