"""The log of a run, as the API and the page show it."""

from typing import Any

from parent.logs.read import LogLine, LogPage
from parent.models import Run

__all__ = ["log_document"]


def log_document(run: Run, page: LogPage) -> dict[str, Any]:
    """A page of the log for programs. Times are datetimes."""
    return {
        "lines": [_line(line) for line in page.lines],
        "next": page.next,
        "more": page.more,
        "ended": run.ended,
    }


def _line(line: LogLine) -> dict[str, Any]:
    names = ("id", "step", "item", "attempt", "number", "at")
    return {
        "run_id": str(line.run_id),
        **{name: getattr(line, name) for name in names},
        "level": line.level_name,
        "logger": line.logger,
        "text": line.text,
    }
