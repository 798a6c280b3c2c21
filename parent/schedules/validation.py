"""What is wrong with a schedule's fields, as errors for each field."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from django.db import DatabaseError

from children.sanitize import clean_text
from parent.definition.concurrency import Concurrency
from parent.definition.parameters.params import as_json, validate
from parent.definition.schedule import Schedule as Declared
from parent.definition.workflow import Workflow, registry
from parent.errors import InvalidParams, InvalidSchedule, UnknownWorkflow
from parent.models import CatchUp, Overlap

__all__ = [
    "FIELDS",
    "TIMING",
    "declared_problems",
    "errors_of",
    "is_name",
    "values_of",
]

TIMING = ("cron", "every", "timezone", "jitter")
FIELDS = (*TIMING, "params", "overlap", "catch_up", "window")
"""What code declares and staff may edit, by the names of the row's columns."""

LONGEST = 1_000_000_000  # seconds, some thirty years
LONGEST_CRON = 200
LONGEST_NAME = 100
FIVE = "Write five fields: minute hour day month weekday, such as '0 12 * * *'."
SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)
WHOLE = f"Give whole seconds from {{}} to {LONGEST}."


def values_of(schedule: Declared) -> dict[str, Any]:
    """The declared fields as a row has them.

    Raises:
        InvalidSchedule: its params are not JSON.
    """
    values = {name: getattr(schedule, name) for name in FIELDS}
    try:
        values["params"] = as_json(dict(schedule.params))
    except InvalidParams as exc:
        errors = {"params": [str(exc)]}
        raise InvalidSchedule(errors) from exc
    except (TypeError, ValueError):
        raise InvalidSchedule({"params": ["Give a mapping of the run's parameters."]}) from None
    return values


def errors_of(workflow: str, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The errors by field; none where these values can be a schedule of that workflow."""
    errors: dict[str, list[str]] = {}
    for name, problem in (*_timing(values), *_options(values), *_params(workflow, values)):
        errors.setdefault(name, []).append(problem)
    return errors


def declared_problems(workflow: Workflow) -> Iterator[tuple[str, str, str]]:
    """The problems of its declared schedules: kind, problem, hint.

    The kind is "schedule", "params" or "name".
    """
    schedules = workflow.schedules
    is_list = isinstance(schedules, Sequence) and not isinstance(schedules, str)
    if not (is_list and all(isinstance(each, Declared) for each in schedules)):
        yield (
            "schedule",
            "its schedules are not a list of Schedule",
            'schedules=[Schedule("0 12 * * *")]',
        )
        return
    names = Counter(each.name for each in schedules)
    for name, number in names.items():
        if number > 1:
            yield (
                "name",
                f"{number} of its schedules are named {name!r}",
                'Tell them apart: Schedule(..., name="...").',
            )
        if not is_name(name):
            yield (
                "name",
                f"a schedule has the name {name!r}",
                f"Give one line of text without '/', of 1 to {LONGEST_NAME} characters.",
            )
    for each in schedules:
        try:
            errors = errors_of(workflow.name, values_of(each))
        except InvalidSchedule as exc:
            errors = exc.errors
        for field, problems in errors.items():
            kind = "params" if field == "params" else "schedule"
            for problem in problems:
                yield kind, f"its schedule {each.name!r} has a wrong {field}", problem


def is_name(name: object) -> bool:
    """Whether a schedule may have this name: one line of text without a slash."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and "/" not in name
        and clean_text(name).strip() == name
        and name.isprintable()
    )


def _timing(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    cron, every, zone = values["cron"], values["every"], values["timezone"]
    if (zone_error := _zone_problem(zone)) is not None:
        yield "timezone", zone_error
    if cron and every is not None:
        yield "every", "Give a cron line or seconds, not both."
    elif every is not None:
        if not _is_whole(every, 1):
            yield "every", WHOLE.format(1)
    elif (problem := _cron_problem(cron)) is not None:
        yield "cron", problem
    if not _is_whole(values["jitter"], 0):
        yield "jitter", WHOLE.format(0)


def _cron_problem(cron: object) -> str | None:
    """What is wrong with this cron line; None where it comes at some time."""
    if not isinstance(cron, str) or not cron.strip():
        return f"Give a cron line, or seconds in `every`. {FIVE}"
    if len(cron) > LONGEST_CRON or len(cron.split()) != 5:
        return FIVE
    problem = _unreadable(cron)
    if problem is None:
        try:
            next(CronSim(cron, SOME_DAY))
        except StopIteration:
            return "It never comes: no day of the next 50 years is one of these."
        return None
    minute, hour, day, _, weekday = cron.split()
    # cronsim says the same of a day that does not exist and of one that no month of these has.
    if (
        _unreadable(f"{minute} {hour} {day} * {weekday}") is None
        and _unreadable(f"{minute} {hour} * {cron.split()[3]} {weekday}") is None
    ):
        return "It never comes: none of these months has such a day."
    return f"{problem}: {cron!r} cannot be read. {FIVE}"


def _unreadable(cron: str) -> str | None:
    try:
        CronSim(cron, SOME_DAY)
    except CronSimError as exc:
        return str(exc)
    except (
        AssertionError,
        ValueError,
        TypeError,
    ):  # cronsim 2.8 asserts: `MON#1/2`
        return "It has a part that means nothing"
    return None


def _zone_problem(zone: object) -> str | None:
    hint = "Give an IANA name, such as 'Europe/Rome' or 'UTC'."
    if not isinstance(zone, str) or not zone:
        return hint
    try:
        ZoneInfo(zone)
    # A folder or a path is a name that the files of zones answer with other errors.
    except (KeyError, ValueError, OSError):
        return f"There is no time zone {zone!r}. {hint}"
    return None


def _options(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, choices in (("overlap", Overlap), ("catch_up", CatchUp)):
        if values[name] not in choices.values:
            yield name, f"Give one of {', '.join(choices.values)}, not {values[name]!r}."
    if not _is_whole(values["window"], 1):
        yield "window", WHOLE.format(1)


def _params(name: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    params = values["params"]
    if not isinstance(params, Mapping):
        yield "params", 'Give a JSON object of the run\'s parameters, such as {"limit": 10}.'
        return
    try:
        workflow = registry.get(name)
        stored = as_json(validate(workflow, params))
        if isinstance(workflow.concurrency, Concurrency):
            workflow.concurrency.key_of(stored)
    except UnknownWorkflow as exc:
        yield "workflow", str(exc)
    except InvalidParams as exc:
        if not isinstance(exc.__cause__, DatabaseError):  # see below
            yield "params", str(exc)
    except DatabaseError:
        return  # an author's code that asks the database, before `migrate`: the start asks it again
    except Exception as exc:
        yield "params", f"The workflow's serializer raised {type(exc).__name__}: {exc}"


def _is_whole(number: object, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and least <= number <= LONGEST
