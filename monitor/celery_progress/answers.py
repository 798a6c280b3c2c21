"""The JSON that the script of celery-progress reads (0.5, `celery_progress/backend.py`)."""

import re
from collections.abc import Sequence
from typing import Any

from celery import states

from children.meta import Status, parse
from children.sanitize import one_line

__all__ = ["of_group", "of_status", "of_stored"]

Answer = dict[str, Any]
Progress = dict[str, Any]

DONE: Progress = {"pending": False, "current": 100, "total": 100, "percent": 100}
RETRY_IN = re.compile(r"Retry in (\d{1,10})s")


def of_status(status: dict[str, Any], retry_in: int | None = None) -> Answer:
    """The answer for a run or a child of ours.

    Of a run the percentage is counted, for its own counters are those of one of its steps.

    Args:
        status: its status in our API.
        retry_in: seconds until the next attempt of a child that waits for it.
    """
    match status["status"]:
        case "OK":
            return _completed(states.SUCCESS, True, status["result"])
        case "ERROR":
            return _completed(status["state"], False, status["error"])
    if retry_in is not None:
        return _retrying(retry_in, status["message"])
    total = None if status["steps"] else status["total"]
    current = int(status["completion"]) if total is None else status["iteration"]
    return _running(status["state"], current, total or 100, status["completion"], status["message"])


def of_stored(state: str, stored: Any, traceback: str | None) -> Answer:
    """The answer for any other task.

    Args:
        state: a Celery state, or one of the task's own.
        stored: the decoded result, as `AsyncResult.result` has it.
        traceback: what Celery stored as such; of a retry it says when the next attempt begins.
    """
    if state == states.IGNORED:
        return _completed(state, None, "" if stored is None else str(stored))
    meta = parse(state, stored)
    if state == states.RETRY:
        found = RETRY_IN.search(traceback or "")
        return _retrying(int(found[1]) if found else "Unknown", meta.message)
    if meta.status is Status.OK:
        return _completed(states.SUCCESS, True, meta.result)
    if meta.status is Status.ERROR:
        # Some tasks return that they have failed.
        ended = states.FAILURE if state == states.SUCCESS else state
        return _completed(ended, False, one_line(str(meta.error)))
    total = meta.total
    current = int(meta.completion) if total is None else meta.iteration
    return _running(state, current, total or 100, meta.completion, meta.message)


def of_group(answers: Sequence[Answer]) -> Answer:
    """The joint answer for the tasks of a group."""
    total = sum(answer["progress"]["total"] for answer in answers)
    current = sum(answer["progress"]["current"] for answer in answers)
    share = round(100 * current / total, 2) if total else 0.0
    return {
        "complete": all(answer["complete"] for answer in answers),
        "success": all(answer["success"] for answer in answers),
        "progress": {"total": total, "current": current, "percent": share},
    }


def _completed(state: str, success: bool | None, result: Any) -> Answer:
    return {
        "state": state,
        "complete": True,
        "success": success,
        "progress": DONE,
        "result": result,
    }


def _retrying(seconds: int | str, message: str) -> Answer:
    """It is complete, says celery-progress; its script asks again all the same."""
    return _completed(states.RETRY, False, {"next_retry_seconds": seconds, "message": message})


def _running(state: str, current: int, total: int, percent: float, description: str) -> Answer:
    return {
        "state": state,
        "complete": False,
        "success": None,
        "progress": {
            "pending": state == states.PENDING,
            "current": current,
            "total": total,
            "percent": round(percent, 2),
            "description": description,
        },
    }
