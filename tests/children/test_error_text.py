"""An error is one line. If its message is only a value, the type's name comes first."""

import asyncio
import decimal
from typing import Any

import pytest
from celery.backends.base import Backend
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDictKeyError

from children.error_text import error_text


class OutOfPaper(Exception):
    """An author's exception class."""


class NoTray(KeyError):
    """An author's subclass of KeyError."""


def raised_by(body: Any) -> Exception:
    """The exception that Python raises, with its own text."""
    try:
        body()
    except Exception as exc:
        return exc
    raise AssertionError("it raises nothing")


def whole(*members: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", members)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "unknown error"),
        (ValueError("bad"), "bad"),
        (ValueError("first line\n  second  line\n"), "first line\nsecond  line"),
        (OutOfPaper("tray 2"), "tray 2"),
        (OutOfPaper("文件不存在"), "文件不存在"),
        (OutOfPaper("can't read 'a' and 'b'"), "can't read 'a' and 'b'"),
        (AssertionError("too few rows"), "too few rows"),
        (raised_by([].pop), "pop from empty list"),
        (raised_by(lambda: 1 / 0), "division by zero"),
        (raised_by(lambda: int("x")), "invalid literal for int() with base 10: 'x'"),
        (
            raised_by(lambda: open("/no/such")),  # noqa: SIM115 - never opened
            "[Errno 2] No such file or directory: '/no/such'",
        ),
        (
            raised_by(b"\xff".decode),
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        ("as text", "as text"),
        ("42", "it failed with 42"),
        (3, "it failed with 3"),
        ("user_id", "it failed with user_id"),
        ("", "unknown error"),
        ({"message": "own kind"}, "it failed with {'message': 'own kind'}"),
    ],
)
def test_a_message_with_words_needs_no_type_name(error: object, text: str) -> None:
    assert error_text(error) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(), "ValueError"),
        (ValueError("  \n "), "ValueError"),
        (AssertionError(), "AssertionError"),
        (asyncio.CancelledError(), "CancelledError"),
        (KeyError("größe"), "KeyError: 'größe'"),
        (KeyError("it's a 'b'"), """KeyError: "it's a 'b'\""""),
        (KeyError("no such user"), "KeyError: 'no such user'"),
        (KeyError(3), "KeyError: 3"),
        (KeyError(("a", 1)), "KeyError: ('a', 1)"),
        (NoTray("A4"), "NoTray: 'A4'"),
        (MultiValueDictKeyError("size"), "MultiValueDictKeyError: 'size'"),
        (LookupError(7), "LookupError: 7"),
        (raised_by(lambda: set().pop()), "KeyError: 'pop from an empty set'"),
        (StopIteration("the end"), "StopIteration: the end"),
        (StopAsyncIteration(3), "StopAsyncIteration: 3"),
        (AssertionError(3), "AssertionError: 3"),
        (ValueError("x"), "ValueError: x"),
        (ValueError(42), "ValueError: 42"),
        (ValueError("-1.5 %"), "ValueError: -1.5 %"),
        (ValueError(None), "ValueError: None"),
        (ValueError(True), "ValueError: True"),
        (ValueError(float("nan")), "ValueError: nan"),
        (ValueError("user_id"), "ValueError: user_id"),
        (ValueError("E404"), "ValueError: E404"),
        (ValueError("/data/in.csv"), "ValueError: /data/in.csv"),
        (ValueError("2026-11-25"), "ValueError: 2026-11-25"),
        (ValueError("1", "tray"), "ValueError: ('1', 'tray')"),
        (ValueError({"size": "too large"}), "ValueError: {'size': 'too large'}"),
        (ValueError(object), "ValueError: <class 'object'>"),
        (OSError(2), "OSError: 2"),
        (ValidationError("Too large."), "ValidationError: ['Too large.']"),
        (
            raised_by(lambda: decimal.Decimal("x")),
            "InvalidOperation: [<class 'decimal.ConversionSyntax'>]",
        ),
        (TimeLimitExceeded("a", 1), "TimeLimitExceeded('a', 1)"),
    ],
)
def test_a_message_that_is_only_a_value_follows_the_type_name(error: object, text: str) -> None:
    assert error_text(error) == text


SOFT = "it did not finish within its soft time limit (SoftTimeLimitExceeded)"
HARD = "it did not finish within its hard time limit of 60 s (TimeLimitExceeded)"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SoftTimeLimitExceeded(), SOFT),
        (TimeLimitExceeded(60), HARD),
        ({"exc_type": "SoftTimeLimitExceeded", "exc_message": []}, SOFT),
        ({"exc_type": "TimeLimitExceeded", "exc_message": [60.0]}, HARD),
        (TimeLimitExceeded(), HARD.replace(" of 60 s", "")),
    ],
)
def test_a_time_limit_of_celerys_is_a_sentence(error: object, text: str) -> None:
    assert error_text(error) == text


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ({"exc_type": "ValueError", "exc_message": ["bad"]}, "bad"),
        ({"exc_type": "ValueError", "exc_message": "bad"}, "bad"),
        ({"exc_type": "OSError", "exc_message": [2, "No such file"]}, "2, No such file"),
        ({"exc_type": "ValueError", "exc_message": []}, "ValueError"),
        ({"exc_type": "ValueError", "exc_message": [None]}, "ValueError"),
        ({"exc_type": "ValueError", "exc_message": None}, "ValueError"),
        ({"exc_type": "ValueError"}, "ValueError"),
        ({"exc_type": "ValueError", "exc_message": [42]}, "ValueError: 42"),
        ({"exc_type": "KeyError", "exc_message": ["größe"]}, "KeyError: 'größe'"),
        ({"exc_type": "KeyError", "exc_message": "größe"}, "KeyError: 'größe'"),
        ({"exc_type": None, "exc_message": ["bad"]}, "bad"),
        ({"exc_type": None, "exc_message": [42]}, "42"),
    ],
)
def test_an_exception_stored_by_celery_has_the_same_text(stored: object, text: str) -> None:
    assert error_text(stored) == text


ROUND_TRIP = [
    *(KeyError("größe"), ValueError(42), ValueError("bad"), OSError()),
    *(SoftTimeLimitExceeded(), TimeLimitExceeded(3)),
]


@pytest.mark.parametrize("error", ROUND_TRIP, ids=repr)
def test_an_exception_reads_the_same_before_and_after_celery_stored_it(error: Exception) -> None:
    from celery import current_app

    stored = Backend(current_app).prepare_exception(error, serializer="json")
    assert error_text(stored) == error_text(error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (whole(ValueError("bad")), "several (1 sub-exception): ValueError: bad"),
        (
            whole(KeyError("a"), whole(OutOfPaper())),
            "several (2 sub-exceptions): KeyError: 'a'; several (1 sub-exception): OutOfPaper",
        ),
        (
            whole(*map(ValueError, range(7))),
            "several (7 sub-exceptions): ValueError: 0; ValueError: 1; ValueError: 2; "
            "ValueError: 3; ValueError: 4; and 2 more",
        ),
        (
            BaseExceptionGroup("both", [GeneratorExit(), ValueError("bad\nworse")]),
            "both (2 sub-exceptions): GeneratorExit; ValueError: bad worse",
        ),
        (
            whole(whole(whole(whole(whole(ValueError("bad")))))),
            "several (1 sub-exception): " * 3 + "ExceptionGroup: several (1 sub-exception)",
        ),
    ],
)
def test_a_group_names_its_members(error: BaseException, text: str) -> None:
    assert error_text(error) == text


def test_an_exception_whose_str_raises_is_shown_by_its_type_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("I say nothing")

    assert error_text(Mute()) == "Mute"
    assert error_text(whole(Mute())) == "several (1 sub-exception): Mute"


def test_a_very_long_message_is_read_quickly() -> None:
    assert error_text(ValueError("' " * 10**6)).startswith("ValueError: '")
