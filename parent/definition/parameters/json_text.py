"""JSON that people and programs send: what Python's own reader passes over is an error here."""

import json
from typing import Any, NoReturn

__all__ = ["RepeatedKey", "read_json"]

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
