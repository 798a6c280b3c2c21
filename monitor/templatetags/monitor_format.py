"""Formats the figures of a status for pages, in the same way as `task-progress.js`."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.utils import dateformat, timezone
from django.utils.translation import gettext

from monitor.runs.titles import titled_error, with_title, workflow_title
from monitor.texts.language import figure
from monitor.texts.status_words import (
    CANCELLING,
    count,
    is_unknown,
    own_message,
    share,
    state_word,
    waiting_text,
)
from monitor.texts.status_words import percent as whole_percent
from parent.models import Run

__all__ = [
    "attribute",
    "beginning",
    "duration",
    "elapsed",
    "in_active_zone",
    "in_zone",
    "is_text",
    "json_text",
    "percent",
    "precise",
    "pretty",
    "rate",
    "run_error",
    "run_seconds",
    "run_status",
    "run_word",
    "thousands",
    "word",
]

register = template.Library()


@register.filter
def attribute(field: object, name: str) -> Any:
    """An attribute of a form's field; empty without it.

    In a template, `field.name` of a field with others inside it would be its inner field `name`.
    """
    return getattr(field, name, "")


LONGEST_VALUE = 2_000  # characters


@register.filter
def percent(status: dict[str, Any]) -> int:
    """0 to 100, rounded down. Only a task that ended OK has 100."""
    return whole_percent(status)


register.filter("workflow_title", workflow_title)
register.filter("share", share)
register.filter("waiting", waiting_text)
register.filter("count", count)
register.filter("own_message", own_message)
register.filter("state_word", state_word)
register.filter("is_unknown", is_unknown)


@register.filter
def run_status(run: Run) -> dict[str, Any]:
    """The status of a run's row, as far as lists show it."""
    columns = ("state", "status", "iteration", "total", "completion", "message")
    status = {name: getattr(run, name) for name in columns}
    message = with_title(run.workflow, run.message)
    return status | {"task_id": str(run.pk), "message": message}


@register.filter
def word(status: dict[str, Any]) -> str:
    """A status in one word, in the reader's language."""
    return gettext(state_word(status))


@register.filter
def run_error(run: Run) -> str:
    """The error of a run's row, with the title of the step that has failed."""
    return titled_error(run.error or "", run.workflow)


@register.filter
def run_word(run: Run) -> str:
    """The status of a run's row in one word."""
    message = CANCELLING if run.cancel_requested_at is not None else ""
    return word({"state": run.state, "status": run.status, "task_id": run.pk, "message": message})


@register.filter
def thousands(number: int) -> str:
    """`12,345`, as the reader's language writes it."""
    return figure(number)


@register.filter
def rate(percent: float) -> str:
    """Percent with tenths below 10: `0 %`, `0.4 %`, `38 %`."""
    return f"{figure(percent, 1 if 0 < percent < 9.95 else 0)} %"


@register.filter
def duration(seconds: float | None) -> str:
    """`12 s`, `3 min 5 s` or `2 h 7 min`; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def precise(seconds: float | None) -> str:
    """A duration with tenths below 10 s: `0.4 s`, `< 0.1 s`; else as `duration`.

    The tenths are written as in the reader's language.
    """
    if seconds is None or seconds >= 9.95:
        return duration(seconds)
    tenths = figure(max(0.1, seconds), 1)
    return f"{tenths} s" if seconds >= 0.05 else f"< {tenths} s"


@register.filter
def run_seconds(run: Run) -> float | None:
    """The seconds from start to end of a run; None if one of them is missing."""
    if run.started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at).total_seconds()


@register.filter
def in_active_zone(at: datetime, written_as: str) -> str:
    """A time in the active time zone, with that zone's name, in a format of Django's `date`.

    The active zone is `TIME_ZONE`, unless the project has activated another one for the request.
    """
    local = timezone.localtime(at)
    name = local.tzname() or ""
    # Some zones have no name but their offset.
    label = f"UTC{name}" if name[:1] in ("+", "-") else name
    return f"{dateformat.format(local, written_as)} {label}"


@register.filter
def in_zone(at: datetime, name: str) -> str:
    """A time in the zone of this name, to the second; in UTC where this machine lacks the zone."""
    try:
        local = at.astimezone(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        local = at.astimezone(UTC)
    return f"{dateformat.format(local, 'D j M Y, H:i:s')} {local.tzname()}"


@register.filter
def elapsed(status: dict[str, Any], now: datetime) -> str:
    """How long it has been running, or ran; of one that is queued, how long it has waited."""
    since = status["started_at"]
    if since is None and state_word(status) == "queued":
        since = status.get("queued_at") or status.get("created_at")
    if since is None or since > now:
        return ""
    if status["finished_at"]:
        return precise((status["finished_at"] - since).total_seconds())
    return duration((now - since).total_seconds())


@register.filter
def json_text(value: object) -> str:
    """The text of a form's field that takes JSON; blank where nothing was entered."""
    if isinstance(value, str):
        # DRF makes `null` of a field without a value. What a person has entered is marked.
        return "" if value == "null" and not hasattr(value, "is_json_string") else value
    return pretty(value) if value else ""


@register.filter
def pretty(value: object) -> str:
    """Any JSON value, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def beginning(text: str) -> str:
    """The part of a text that a page shows of one value."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


@register.filter
def is_text(value: object) -> bool:
    """Whether a JSON value is a string."""
    return isinstance(value, str)
