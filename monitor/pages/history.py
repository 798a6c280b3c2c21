"""The history of a run for its page: what users did, and its earlier attempts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext, gettext_noop

from monitor.runs.titles import all_titles, titled_error
from parent.definition.parameters.secrets import masked
from parent.models import Attempt, Event, Run

__all__ = ["Entry", "entries", "history_of"]

LONGEST_VALUE = 200  # characters
GIVEN = {
    "result": gettext_noop("result {value}"),
    "inputs": gettext_noop("inputs {value}"),
    "given": gettext_noop("given {value}"),
}
TIMES = ("queued_at", "started_at", "finished_at")
MOST_ARRIVALS = 50
"""Signals that became items, of which there may be thousands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of the history. `who` is empty if it was not a user."""

    at: datetime
    what: str
    who: str = ""
    detail: str = ""


def history_of(run: Run, *, secrets: set[str]) -> list[Entry]:
    """Everything that happened to a run before its current attempts, the oldest first.

    Args:
        secrets: texts that are not shown.
    """
    attempts = (
        Attempt.objects.filter(step__run=run, item=None)
        .select_related("step")
        .only("number", "worker", "error", *TIMES, "step__name")
    )
    lines = [*entries(run.events.all(), attempts, run.workflow), *_arrivals(run)]
    return [
        replace(entry, detail=masked(entry.detail, secrets))
        for entry in sorted(lines, key=lambda entry: entry.at)
    ]


def _arrivals(run: Run) -> Iterator[Entry]:
    """The first signals that became items, and how many there are beside them."""
    came = run.signals.exclude(key="").order_by("pk")
    first = list(came.only("name", "key", "who", "at")[:MOST_ARRIVALS])
    for each in first:
        yield Entry(at=each.at, who=each.who, what="signal", detail=f"{each.name} {each.key}")
    if len(first) == MOST_ARRIVALS and (more := came.count() - MOST_ARRIVALS):
        arrived = gettext("and {number} more, which are items").format(number=f"{more:,}")
        yield Entry(at=first[-1].at, what="signal", detail=arrived)


def entries(events: Iterable[Event], attempts: Iterable[Attempt], workflow: str) -> list[Entry]:
    """The lines of events and earlier attempts of runs of this workflow, by time."""
    titles = all_titles(workflow)
    lines = [_of_event(event, titles) for event in events]
    lines += _of_attempts(attempts, titles, workflow)
    return sorted(lines, key=lambda entry: entry.at)


def _of_event(event: Event, titles: Mapping[str, str]) -> Entry:
    parts = _parts(event.detail, titles)
    return Entry(at=event.at, who=event.who, what=event.what, detail=", ".join(parts))


def _parts(detail: dict[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    if detail.get("from"):
        text = gettext("skipping {names}") if detail.get("skip") else gettext("from {names}")
        yield text.format(names=", ".join(titles.get(name, name) for name in detail["from"]))
    if "item" in detail:
        yield gettext("only the item {key}").format(key=detail["item"])
    if "schedule" in detail:
        yield gettext("{name}, for {time}").format(
            name=detail["schedule"], time=detail.get("nominal_at", "")
        )
    if detail.get("signal"):
        yield str(detail["signal"])
    for given, text in GIVEN.items():
        if given in detail:
            yield gettext(text).format(value=_short(detail[given]))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _of_attempts(
    attempts: Iterable[Attempt], titles: Mapping[str, str], workflow: str
) -> Iterator[Entry]:
    for attempt in attempts:
        at = attempt.finished_at or attempt.started_at or attempt.queued_at
        if at is not None:
            name, error = attempt.step.name, titled_error(attempt.error, workflow)
            what = gettext("{name}, attempt {number}").format(
                name=titles.get(name, name), number=attempt.number
            )
            yield Entry(at=at, what=what, detail=error or gettext("ended"))
