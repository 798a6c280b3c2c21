"""The status of a run or a step in words and figures for people, from the JSON of the API."""

from datetime import datetime
from typing import Any

from celery import states
from django.utils.translation import gettext, gettext_noop

from children.meta import Status
from monitor.texts.language import figure
from monitor.texts.row_texts import say

__all__ = [
    "CANCELLING",
    "count",
    "is_unknown",
    "own_message",
    "percent",
    "share",
    "state_word",
    "waiting_text",
]

CANCELLING = "cancelling"


def percent(status: dict[str, Any]) -> int:
    """0 to 100, rounded down. Only a task that ended OK has 100."""
    return 100 if status["status"] == "OK" else min(99, int(status["completion"]))


def is_unknown(status: dict[str, Any]) -> bool:
    """Whether it runs and nobody knows how far it is: nothing has said how much there is."""
    running = status["state"] in (states.STARTED, "PROGRESS")
    return running and status["total"] is None and not status["completion"]


def count(status: dict[str, Any]) -> str:
    """How much is done: `4 of 10`, `54 done`, or `1 of 3 steps`; empty if nothing was counted.

    In the reader's language.
    """
    text, done, all_ = _counted(status)
    figures = {"done": done, "all": all_}
    written = {name: figure(n) for name, n in figures.items()}
    return gettext(text).format(**written) if text else ""


def own_message(status: dict[str, Any]) -> str:
    """Its message, if that says more than its state and its count."""
    text, done, all_ = _counted(status)
    counted = text.format(done=f"{done:,}", all=f"{all_:,}")
    message: str = status["message"]
    return "" if message in (state_word(status), counted) else message


def _counted(status: dict[str, Any]) -> tuple[str, int, int]:
    """A text with the places `done` and `all`, and these; the text is empty without a count."""
    steps = status.get("steps") or []
    if len(steps) > 1:
        done = sum(step["status"] == Status.OK for step in steps)
        return gettext_noop("{done} of {all} steps"), done, len(steps)
    if status["total"] is not None:
        return gettext_noop("{done} of {all}"), status["iteration"], status["total"]
    return gettext_noop("{done} done") if status["iteration"] else "", status["iteration"], 0


def share(status: dict[str, Any]) -> str:
    """`20 %`; what was counted, if the whole is unknown."""
    if not is_unknown(status):
        return f"{percent(status)} %"
    return count({**status, "steps": []})


def waiting_text(status: dict[str, Any], now: datetime) -> str:
    """What it waits for, as a sentence of the page; empty if it waits for nothing.

    In the reader's language.
    """
    if not status["waits_for"]:
        return ""
    waited = say(status["waits_for"])
    if status.get("steps"):
        queued = (step for step in status["steps"] if state_word(step) == "queued")
        what = next((step["title"] for step in queued), "")
        text = gettext("{what} waits for {waited}").format(what=what, waited=waited)
    else:
        text = gettext("waits for {waited}").format(waited=waited)
    if (until := status["waits_until"]) is None:
        return text
    left = f"{max(0, int((until - now).total_seconds()))} s"
    if status.get("awaits"):
        return gettext("{text}, for another {time}").format(text=text, time=left)
    return gettext("{text}, in {time}").format(text=text, time=left)


def state_word(status: dict[str, Any]) -> str:
    """The state of a run or a step in one word, for people."""
    match status["state"]:
        case "PENDING":
            return "queued" if status["task_id"] else "waiting"
        case "SUCCESS":
            return "done"
        case "FAILURE":
            return "failed, optional" if status.get("optional") else "failed"
        case "REVOKED":
            return "cancelled" if status["status"] == "ERROR" else "skipped"
    if status["message"] == CANCELLING:
        return CANCELLING
    return "waiting" if status.get("awaits") else "running"
