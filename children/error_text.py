"""Text for people from an exception."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from children.sanitize import one_line

__all__ = ["UNKNOWN_ERROR", "error_text", "text_of"]

UNKNOWN_ERROR = "unknown error"

_name_of_class = type.__dict__["__name__"].__get__  # a metaclass may have one of its own

MAX_MEMBERS = 5
"""Members of an exception group that are named. The traceback has all of them."""
BARE_TEXT = re.compile(r"""[-+.\d]+|\w*[_\d]\w*|'[^']*'|"[^"]*\"""")
"""A text that is only a number, a name with `_` or digits, or in quotes."""

MAX_GROUP_DEPTH = 3
SCANNED_CHARACTERS = 500
"""Characters of a message that are searched for quotes: the search is slow on very long ones."""

QUOTED = re.compile(r"""(?<!\w)(['"]).*?\1(?!\w)""")
REPR = re.compile(r"\(.*\)|\[.*\]|\{.*\}|<.*>")
WORD = re.compile(r"(?<!\S)(?!(?:None|True|False|nan|inf)(?!\S))[^\W\d_][^\s\d_]+(?!\S)")


def error_text(error: object) -> str:
    """Text for people: an exception's message, after its type's name if that is needed.

    It keeps the lines of the message, without empty ones.

    The name is needed if the message is only a value, without a word outside quotes, as in
    `KeyError: 'size'` or `ValueError: 42`. Without a message the text is the name. The text of an
    exception group names its members. A value that is not an exception is `it failed with 42`. If
    an author's methods raise anything but Ctrl-C, or exit, it is the type's name.

    Args:
        error: an exception, the dict that Celery stores for one
            (`celery.backends.base.Backend.prepare_exception`), or any other stored value.
    """
    try:
        return _text(error)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return str(_name_of_class(type(error)))


def _text(error: object) -> str:
    match error:
        case None:
            return UNKNOWN_ERROR
        case BaseExceptionGroup():
            return _group_text(error, MAX_GROUP_DEPTH)
        case BaseException() if limit := _limit_text(type(error).__name__, error):
            return limit
        case BaseException():
            # These two carry a value, not a message.
            value = isinstance(error, StopIteration | StopAsyncIteration)
            return _lines(type(error).__name__, text_of(error), may_stand_alone=not value)
        case {"exc_type": kind, **rest}:
            return _stored_text("" if kind is None else text_of(kind), rest)
        case _:
            text = _lines("", text_of(error))
            line = one_line(text)
            bare = BARE_TEXT.fullmatch(line) if isinstance(error, str) else not _has_words(line)
            return f"it failed with {text}" if bare else text


def _limit_text(kind: str, stored: BaseException | Sequence[Any]) -> str:
    """The text of Celery's exceptions for time limits, whose own is `TimeLimitExceeded(60,)`."""
    limit = {"TimeLimitExceeded": "hard", "SoftTimeLimitExceeded": "soft"}.get(kind)
    if limit is None:
        return ""
    args = stored.args if isinstance(stored, BaseException) else stored
    if len(args) > 1 or not all(isinstance(arg, int | float) for arg in args):
        return ""
    seconds = "".join(f" of {arg:g} s" for arg in args)
    return f"it did not finish within its {limit} time limit{seconds} ({kind})"


def _stored_text(kind: str, stored: Mapping[Any, Any]) -> str:
    args = stored.get("exc_message")
    args = args if isinstance(args, list | tuple) else [args]
    values = [arg for arg in args if arg is not None]
    if limit := _limit_text(kind, values):
        return limit
    if kind.endswith("KeyError") and len(values) == 1:
        values = [repr(values[0])]  # like `str` of a KeyError
    return _lines(kind, ", ".join(map(text_of, values)))


def _group_text(group: BaseExceptionGroup[Any], depth: int) -> str:
    """The group's message and its members, each after its type's name. Depth is limited."""
    members = [
        _group_text(member, depth - 1)
        if isinstance(member, BaseExceptionGroup) and depth > 1
        else one_line(_lines(type(member).__name__, text_of(member), may_stand_alone=False))
        for member in group.exceptions[:MAX_MEMBERS]
    ]
    more = len(group.exceptions) - MAX_MEMBERS
    listed = "; ".join([*members, *([f"and {more} more"] if more > 0 else [])])
    return f"{_lines(type(group).__name__, text_of(group))}: {listed}"


def _lines(kind: str, text: str, *, may_stand_alone: bool = True) -> str:
    """The lines of the text, after the type's name `kind` if they do not stand alone."""
    text = "\n".join(filter(None, map(str.strip, text.splitlines())))
    if not text:
        return kind or UNKNOWN_ERROR
    stands_alone = (may_stand_alone and _has_words(one_line(text))) or text.startswith(kind)
    return text if stands_alone else f"{kind}: {text}"


def _has_words(line: str) -> bool:
    """Whether the line has a word, besides quotes, numbers, names with digits, or a `repr`."""
    begins = line[:SCANNED_CHARACTERS]
    return not REPR.fullmatch(line) and WORD.search(QUOTED.sub(" ", begins)) is not None


def text_of(value: object) -> str:
    """`str(value)`, or its type's name if `__str__` raises or exits."""
    try:
        return str(value)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return str(_name_of_class(type(value)))
