"""Settings from the environment: read, declared, and refused with what to write instead."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from mainproj.environment import Environment, env
from monitor.policy import DEFAULT
from parent.conf import DEFAULTS

Read = Callable[[Environment], Any]

READ: dict[str, Read] = {
    "flag": lambda env: env.flag("X", False, ""),
    "number": lambda env: env.number("X", 5, "", at_least=1),
    "seconds": lambda env: env.seconds("X", 5, ""),
    "lasting": lambda env: env.seconds("X", 5, "", zero=""),
    "words": lambda env: env.words("X", ["a"], "", example="b"),
    "origins": lambda env: env.origins("X", ""),
    "rate": lambda env: env.rate("X", "60/min", ""),
    "limits": lambda env: env.limits("X", ""),
    "choice": lambda env: env.choice("X", "json", "", among=["json", "text"]),
    "text": lambda env: env.text("X", "a", "", example="b"),
    "database": lambda env: env.database("X", "sqlite:////a", "", unset="")["ENGINE"],
    "url": lambda env: env.url("X", "redis://h/0", "", unset=""),
    "cache": lambda env: env.url("X", "redis://h/0", "", schemes=["redis"], unset=""),
}


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        *(
            ("flag", "on", True),
            ("flag", "1", True),
            ("flag", "True", True),
            ("flag", "off", False),
        ),
        *(("number", "7", 7), ("number", " 7 ", 7), ("number", "", 5)),
        *(("seconds", "0.5", 0.5), ("seconds", "0", 0.0)),
        *(("words", "b, c,", ["b", "c"]), ("words", "", ["a"])),
        ("origins", "https://a.example, http://b:8000", ["https://a.example", "http://b:8000"]),
        *(("limits", "gpu=2, mail=100/m", {"gpu": "2", "mail": "100/m"}), ("limits", "", {})),
        *(("rate", "100/hour", "100/hour"), ("rate", "off", None), ("rate", "", "60/min")),
        *(("choice", "text", "text"), ("text", "anything", "anything"), ("text", "", "a")),
        ("database", "postgres://u:p@h/n", "django.db.backends.postgresql"),
        ("database", "", "django.db.backends.sqlite3"),
        *(("url", "amqp://h//", "amqp://h//"), ("cache", "redis://h/1", "redis://h/1")),
        ("cache", "", "redis://h/0"),
    ],
)
def test_a_value_is_read(kind: str, value: str, found: Any) -> None:
    assert READ[kind](Environment({"X": value})) == found


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("flag", "maybe", "X=maybe cannot be used: it is neither on nor off"),
        ("number", "0", "X=0 cannot be used: it is no whole number from 1 up"),
        ("number", "-1", "X=-1 cannot be used: it is no whole number from 1 up"),
        ("number", "1.5", "X=1.5 cannot be used: it is no whole number from 1 up"),
        ("seconds", "-1", "X=-1 cannot be used: it is no number of seconds, or 0 for never"),
        ("seconds", "nan", "X=nan cannot be used: it is no number of seconds, or 0 for never"),
        ("seconds", "inf", "X=inf cannot be used: it is no number of seconds, or 0 for never"),
        ("lasting", "0", "X=0 cannot be used: it is no number of seconds"),
        ("origins", "a.example", "X=a.example cannot be used: a.example is no scheme and host"),
        (
            "origins",
            "https://a/b",
            "X=https://a/b cannot be used: https://a/b is no scheme and host",
        ),
        ("rate", "60/fortnight", "X=60/fortnight cannot be used: it is no rate"),
        ("rate", "0/min", "X=0/min cannot be used: it is no rate"),
        ("limits", "gpu", "X=gpu cannot be used: gpu: '' is no size of a limit from 0 to 10,000"),
        ("limits", "gpu=2,gpu=3", "X=gpu=2,gpu=3 cannot be used: it has a name twice"),
        ("limits", "g u=2", "X=g u=2 cannot be used: 'g u' is no name of a limit"),
        ("choice", "xml", "X=xml cannot be used: it is none of json, text"),
        ("database", "mysql://u:p@h/n", "X cannot be used: it is no URL of a PostgreSQL"),
        ("database", "nonsense", "X cannot be used: it is no URL of a PostgreSQL"),
        (
            "database",
            "postgres://h:p/n",
            "X cannot be used: it is no URL of a PostgreSQL or SQLite",
        ),
        ("url", "localhost:6379", "X cannot be used: it is no URL"),
        ("cache", "amqp://h//", "X cannot be used: its scheme is none of redis"),
    ],
)
def test_a_wrong_value_is_told_with_its_reason_and_an_example(
    kind: str, value: str, reason: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as told:
        READ[kind](Environment({"X": value}))

    assert str(told.value).startswith(reason)
    example = str(told.value).partition("Write, for example, X=")[2]
    READ[kind](Environment({"X": example}))  # it can be used itself


def test_what_the_settings_read_is_declared_once_with_words() -> None:
    names = [declared.name for declared in env.declared]

    assert {"DEBUG", "SECRET_KEY", "DATABASE_URL", "LOG_FORMAT", *DEFAULTS} <= set(names)
    assert len(names) == len(set(names))
    for declared in env.declared:
        assert declared.about, declared
        assert declared.default, declared
        assert declared.example, declared
        assert "/tmp/" not in declared.default, declared  # no path of this machine


def test_the_policys_default_is_declared_as_it_is() -> None:
    declared = {declared.name: declared.default for declared in env.declared}

    assert declared["WORKFLOW_POLICY"] == DEFAULT


def test_the_engines_defaults_are_declared_as_they_are() -> None:
    declared = {declared.name: declared.default for declared in env.declared}

    assert {name: declared[name] for name in DEFAULTS} == {
        name: f"{default:.10g}" if default else "never" for name, default in DEFAULTS.items()
    }
