"""How figures of a status read on the pages; `run.js` says the same in the browser."""

import json
from datetime import datetime
from typing import Any

from django import template

from monitor.status import CANCELLING
from parent.models import Run

__all__ = ["duration", "elapsed", "percent", "pretty", "run_word", "word"]

register = template.Library()


@register.filter
def percent(status: dict[str, Any]) -> int:
    """0 to 100, rounded down: 100 is for what ended OK, and for nothing else."""
    return 100 if status["status"] == "OK" else min(99, int(status["completion"]))


@register.filter
def word(status: dict[str, Any]) -> str:
    """A status in one plain word."""
    match status["state"]:
        case "PENDING":
            return "queued" if status["task_id"] else "waiting"
        case "SUCCESS":
            return "done"
        case "FAILURE":
            return "failed"
        case "REVOKED":
            return "cancelled" if status["status"] == "ERROR" else "skipped"
    return CANCELLING if status["message"] == CANCELLING else "running"


@register.filter
def run_word(run: Run) -> str:
    """A run's row in one plain word."""
    message = CANCELLING if run.cancel_requested_at is not None else ""
    return word({"state": run.state, "status": run.status, "task_id": run.pk, "message": message})


@register.filter
def duration(seconds: float | None) -> str:
    """`12 s`, `3 min 05 s` or `2 h 07 min`; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


@register.filter
def elapsed(status: dict[str, Any], now: datetime) -> str:
    """How long it has run, or did run."""
    if status["started_at"] is None:
        return ""
    return duration(((status["finished_at"] or now) - status["started_at"]).total_seconds())


@register.filter
def pretty(value: object) -> str:
    """Any JSON value, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False)
