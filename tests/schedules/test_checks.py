"""A schedule that can never start its workflow is found by a check, with a hint."""

from collections.abc import Callable
from datetime import date
from itertools import islice
from typing import Any

import pytest
from django.db import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework import serializers

from parent import Concurrency, Schedule, Step, Workflow
from parent.checks import check_workflows
from parent.schedules.calendar import Timing, nominal_times
from parent.schedules.validation import errors_of
from tests.flows import tasks
from tests.schedules.conftest import NOON, no_inputs

Declare = Callable[..., None]
GOOD = [
    Schedule("0 12 * * *", timezone="Europe/Rome", params={"limit": 3}),
    Schedule("*/5 8-18 * JAN,dec MON-FRI", name="in words"),
    Schedule("0 0 29 2 *", name="leap years"),
    Schedule("0 0 L * *", name="last day"),
    Schedule("0 0 * * FRI#5", name="fifth friday"),
    Schedule(every=1, name="seconds", jitter=10, overlap="queue", catch_up="all", window=60),
]
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"cron": "0 0 31 2 *"}, "E016", "never comes"),
    ({"cron": "0 0 30,31 FEB *"}, "E016", "never comes"),
    ({"cron": "0 0 31 4,6 *"}, "E016", "never comes"),
    ({"cron": "0 0 32 1 *"}, "E016", "Bad day-of-month"),
    ({"cron": "61 0 * * *"}, "E016", "Bad minute"),
    ({"cron": "0 24 * * *"}, "E016", "Bad hour"),
    ({"cron": "0 0 * 13 *"}, "E016", "Bad month"),
    ({"cron": "0 0 * * 8"}, "E016", "Bad day-of-week"),
    ({"cron": "0 0 * * MON#1/2"}, "E016", "cannot be read"),
    ({"cron": "0 0 * *"}, "E016", "five fields"),
    ({"cron": "0 0 0 * * *"}, "E016", "five fields"),
    ({"cron": "@daily"}, "E016", "five fields"),
    ({"cron": ""}, "E016", "Give a cron line"),
    ({"cron": None}, "E016", "Give a cron line"),
    ({"cron": "0 0 * * *", "every": 60}, "E016", "not both"),
    ({"cron": "", "every": 0}, "E016", "whole seconds"),
    ({"cron": "", "every": 0.5}, "E016", "whole seconds"),
    ({"cron": "", "every": True}, "E016", "whole seconds"),
    ({"cron": "", "every": 10**12}, "E016", "whole seconds"),
    ({"timezone": "Europe/Roma"}, "E016", "no time zone 'Europe/Roma'"),
    ({"timezone": "Europe"}, "E016", "no time zone 'Europe'"),
    ({"timezone": "/etc/passwd"}, "E016", "no time zone"),
    ({"timezone": ""}, "E016", "IANA name"),
    ({"timezone": 2}, "E016", "IANA name"),
    ({"overlap": "none"}, "E016", "cancel_running"),
    ({"catch_up": "skip"}, "E016", "latest"),
    ({"jitter": -1}, "E016", "whole seconds"),
    ({"window": 0}, "E016", "whole seconds"),
    ({"params": {"limit": 0}}, "E017", "greater than or equal to 1"),
    ({"params": {"unheard_of": 1}}, "E017", "no such parameter"),
    ({"params": {"limit": {1, 2}}}, "E017", "limit"),
    ({"params": 5}, "E017", "Give a mapping"),
    ({"name": ""}, "E018", "has the name ''"),
    ({"name": "a/b"}, "E018", "has the name 'a/b'"),
    ({"name": "x" * 101}, "E018", "has the name"),
]


def messages() -> list[tuple[str, str]]:
    return [(str(found.id), f"{found.msg} {found.hint}") for found in check_workflows()]


def test_good_schedules_are_no_problem(declare: Declare) -> None:
    declare(*GOOD)

    assert messages() == []


@pytest.mark.parametrize(("options", "number", "text"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_schedule_is_an_error_with_a_hint(
    declare: Declare, options: dict[str, Any], number: str, text: str
) -> None:
    declare(Schedule(**{"cron": "0 12 * * *", **options}))

    [(found, message)] = messages()

    assert found == f"workflows.{number}"
    assert text in message
    assert "'hourly'" in message


class Shop(serializers.Serializer[Any]):
    shop = serializers.IntegerField(required=False)


def of_unmigrated_database(_: Any) -> str:
    raise OperationalError("no such table: shops")


@pytest.mark.parametrize(
    ("key", "params", "told"),
    [
        ("shop", {}, "shop: Required: runs with the same value share a limit."),
        (lambda params: params["shop"], {}, "could not be made: KeyError: 'shop'"),
        (lambda params: params.get("shop"), {}, "could not be made: it is None"),
        (lambda _: "x" * 201, {}, "one line of at most 200 characters"),
        ("shop", {"shop": 7}, ""),
        (of_unmigrated_database, {}, ""),  # the start asks it again
    ],
)
def test_params_without_the_key_of_the_limit_are_an_error(
    own_registry: None, key: Any, params: dict[str, Any], told: str
) -> None:
    Workflow(
        "shops",
        params=Shop,
        steps=[Step(tasks.noop, inputs=no_inputs)],
        concurrency=Concurrency(key=key),
        schedules=[Schedule("0 12 * * *", params=params)],
    )

    assert [number for number, _ in messages()] == (["workflows.E017"] if told else [])
    assert all(told in text for _, text in messages())


def test_two_of_one_name_are_an_error(declare: Declare) -> None:
    declare(Schedule("0 12 * * *"), Schedule("0 13 * * *"))

    [(found, message)] = messages()

    assert found == "workflows.E018"
    assert "2 of its schedules are named 'default'" in message
    assert 'name="..."' in message


def test_something_else_in_place_of_a_list_is_an_error(declare: Declare) -> None:
    for wrong in (Schedule("0 12 * * *"), "0 12 * * *", ["0 12 * * *"], 5):
        declare()
        from parent.definition.workflow import registry

        object.__setattr__(registry.get("hourly"), "schedules", wrong)

        [(found, message)] = messages()
        assert found == "workflows.E016"
        assert "not a list of Schedule" in message


def test_dates_are_kept_as_the_json_that_a_start_takes(declare: Declare) -> None:
    from parent.schedules.validation import values_of

    assert values_of(Schedule("* * * * *", params={"day": date(2026, 1, 2)}))["params"] == {
        "day": "2026-01-02"
    }


part = st.text("0123456789*/,-#L MONFEBW@", max_size=8)


@settings(max_examples=400, deadline=None)
@given(st.lists(part, min_size=4, max_size=6).map(" ".join))
def test_any_text_is_a_schedule_that_comes_or_is_refused(cron: str) -> None:
    given_values = {
        **{"cron": cron, "every": None, "timezone": "Europe/Rome", "jitter": 0, "params": {}},
        **{"overlap": "skip", "catch_up": "none", "window": 1},
    }
    errors = errors_of("no such workflow", given_values)

    if "cron" not in errors:
        assert len(list(islice(nominal_times(Timing(cron=cron), NOON), 2))) == 2
