"""What every database takes: PostgreSQL's `text` and `jsonb` refuse some of Python's strings."""

import json
import re
from collections.abc import Iterable

from children.errors import ResultNotJSON

__all__ = ["GIVEN_DEPTH", "check_json", "clean_text", "storable"]

MAX_TEXT = 2_000
GIVEN_DEPTH = 200
"""Of what comes from outside. On its way it gets deeper: into a child's inputs, and a result."""
MAX_DEPTH = 2 * GIVEN_DEPTH
"""Of what is stored. The databases' parsers and Python's own each end somewhere beyond."""
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def clean_text(text: str) -> str:
    """Text to show: `storable`, and not endless."""
    text = storable(text)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def storable(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogates."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")


def check_json(value: object, what: str = "the result is", depth: int = MAX_DEPTH) -> None:
    """Make sure that `value` is JSON that PostgreSQL's `jsonb` takes as well.

    Args:
        what: how the error begins.
        depth: how deep lists and objects may be nested.

    Raises:
        ResultNotJSON: naming the type, NaN, NUL, lone surrogate or depth that stands in the way.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as exc:
        raise ResultNotJSON(f"{what} not JSON: {exc}") from exc
    if _NUL_ESCAPE.search(text):
        raise ResultNotJSON(f"{what} not JSON that can be stored: a text in it has a NUL")
    if _deeper_than(depth, value):
        raise ResultNotJSON(f"{what} not JSON that can be stored: it is nested deeper than {depth}")


def _deeper_than(limit: int, value: object) -> bool:
    layer = [value]
    for _ in range(limit):
        if not layer:
            return False
        layer = [part for whole in layer for part in _parts(whole)]
    return any(isinstance(part, dict | list | tuple) for part in layer)


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
