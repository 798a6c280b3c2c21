"""JSON that people and programs send: what Python's own reader passes over is an error here."""

import json
from decimal import Decimal
from typing import Any, NoReturn

__all__ = ["RepeatedKey", "read_json", "same_json"]

LONGEST_SHOWN = 100
"""Characters of a key in an error."""


class RepeatedKey(ValueError):
    """An object has two values under one key, of which Python would drop the first."""


def read_json(text: str | bytes) -> Any:
    """The value.

    Raises:
        RepeatedKey: a key is there twice.
        ValueError: it is not JSON, or has NaN or an infinity.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_with_each_key)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _with_each_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKey(f"the key {key[:LONGEST_SHOWN]!r} is there twice: send it once")
        found[key] = value
    return found


def same_json(one: Any, other: Any) -> bool:
    """Whether both are the same JSON: `1` and `true` are not, `1e16` and its digits are.

    PostgreSQL gives a number back in another form than it got.
    """
    return bool(_comparable(one) == _comparable(other))


def _comparable(value: Any) -> Any:
    return json.loads(json.dumps(value), parse_int=_number, parse_float=_number)


def _number(text: str) -> tuple[Decimal]:
    return (Decimal(text),)  # no JSON is a tuple, and a number alone would equal `true`
