"""The setting `ROUTINE`: which routine task comes when."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from django.conf import settings

from examples.routine.tasks import ClearSessions
from parent import Schedule

__all__ = ["DEFAULT", "TASKS", "given", "problems", "when"]

TASKS: Mapping[str, Any] = {"clear_sessions": ClearSessions}
"""The routine tasks, by the names of their workflows."""

DEFAULT: Mapping[str, Mapping[str, Any] | None] = {"clear_sessions": {"cron": "30 3 * * *"}}
"""What `ROUTINE` is if the project does not have it."""

EXAMPLE = "ROUTINE = {'clear_sessions': {'cron': '30 3 * * *'}}"
OPTIONS = sorted(each.name for each in fields(Schedule))


def given() -> Any:
    """When each task comes: options of `Schedule` by its name, or None if never by itself."""
    return getattr(settings, "ROUTINE", DEFAULT)


def when(name: str) -> Mapping[str, Any] | None:
    """What the setting says of this task; None also where a check reports that it cannot be."""
    found = given()
    if any(problems(found)):
        return None
    options: Mapping[str, Any] | None = found.get(name)
    return options


def problems(found: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with the setting, and what to write instead."""
    if not isinstance(found, Mapping):
        yield f"it is {found!r}, not a dict", f"Write {EXAMPLE}."
        return
    for name, options in found.items():
        if name not in TASKS:
            yield f"there is no routine task {name!r}", f"There are: {', '.join(sorted(TASKS))}."
        elif options is not None and not isinstance(options, Mapping):
            yield f"{name!r} is {options!r}, and neither a dict nor None", f"Write {EXAMPLE}."
        elif unknown := sorted(set(options or ()) - {*OPTIONS}, key=str):
            yield (
                f"{name!r} has {unknown[0]!r}, which no schedule takes",
                f"It takes: {', '.join(OPTIONS)}.",
            )
