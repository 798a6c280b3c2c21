"""What an error says, in one line for people."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["UNKNOWN_ERROR", "error_text", "text_of"]

UNKNOWN_ERROR = "unknown error"

MOST_MEMBERS = 5
"""Of an exception group, that are named; the traceback has them all."""
DEEPEST_GROUP = 3
LOOKED_AT = 500
"""Characters of a message; in a very long one to look for quotes would take long."""

QUOTED = re.compile(r"""(?<!\w)(['"]).*?\1(?!\w)""")
REPR = re.compile(r"\(.*\)|\[.*\]|\{.*\}|<.*>")
WORD = re.compile(r"(?<!\S)(?!(?:None|True|False|nan|inf)(?!\S))[^\W\d_][^\s\d_]+(?!\S)")


def error_text(error: object) -> str:
    """One line for people: an exception's message, after its type's name where that is needed.

    It is where the message is no more than a value, as in `KeyError: 'size'` or `ValueError: 42`:
    without a word outside quotes. Without a message the name is all. A group names its members.

    Args:
        error: an exception, or the dict that Celery's JSON makes of one
            (`celery.backends.base.Backend.prepare_exception`), or whatever else was stored.
    """
    match error:
        case None:
            return UNKNOWN_ERROR
        case BaseExceptionGroup():
            return _group_text(error, DEEPEST_GROUP)
        case BaseException():
            # What ends an iteration carries its value, not a message.
            value = isinstance(error, StopIteration | StopAsyncIteration)
            return _line(type(error).__name__, text_of(error), names_its_kind=not value)
        case {"exc_type": kind, **rest}:
            return _stored_text("" if kind is None else text_of(kind), rest)
        case _:
            return _line("", text_of(error))


def _stored_text(kind: str, stored: Mapping[Any, Any]) -> str:
    args = stored.get("exc_message")
    args = args if isinstance(args, list | tuple) else [args]
    said = [arg for arg in args if arg is not None]
    if kind.endswith("KeyError") and len(said) == 1:
        said = [repr(said[0])]  # as the exception itself would have it
    return _line(kind, ", ".join(map(text_of, said)))


def _group_text(group: BaseExceptionGroup[Any], depth: int) -> str:
    """The group's own message and, but for those that lie deep, each member with its kind."""
    members = [
        _group_text(member, depth - 1)
        if isinstance(member, BaseExceptionGroup) and depth > 1
        else _line(type(member).__name__, text_of(member), names_its_kind=False)
        for member in group.exceptions[:MOST_MEMBERS]
    ]
    more = len(group.exceptions) - MOST_MEMBERS
    told = "; ".join([*members, *([f"and {more} more"] if more > 0 else [])])
    return f"{_line(type(group).__name__, text_of(group))}: {told}"


def _line(kind: str, text: str, *, names_its_kind: bool = True) -> str:
    """The text in one line, after its kind where it does not tell that itself."""
    line = " ".join(filter(None, map(str.strip, text.splitlines())))
    if not line:
        return kind or UNKNOWN_ERROR
    names_its_kind = (names_its_kind and _has_words(line)) or line.startswith(kind)
    return line if names_its_kind else f"{kind}: {line}"


def _has_words(line: str) -> bool:
    """Whether it is more than a value: more than quotes, numbers, names with digits, a `repr`."""
    begins = line[:LOOKED_AT]
    return not REPR.fullmatch(line) and WORD.search(QUOTED.sub(" ", begins)) is not None


def text_of(value: object) -> str:
    """`str(value)`, or its type's name where an author's `__str__` fails."""
    try:
        return str(value)
    except Exception:
        return type(value).__name__
