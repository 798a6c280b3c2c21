"""Makes text and JSON storable: PostgreSQL's `text` and `jsonb` refuse some Python strings."""

import json
import marshal
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from kombu.utils.json import JSONEncoder

from children.errors import ResultNotJSON

__all__ = [
    "GIVEN_DEPTH",
    "check_json",
    "check_keys",
    "clean_error",
    "clean_lines",
    "clean_text",
    "clean_traceback",
    "one_line",
    "plain_form",
    "plain_json",
    "storable",
]

MAX_TEXT = 2_000
MAX_TRACEBACK = 20_000
GIVEN_DEPTH = 200
"""Nesting limit of request data. A child's inputs and result may nest it deeper."""
MAX_DEPTH = 2 * GIVEN_DEPTH
"""Nesting limit of stored JSON, below the limits of Python's and the databases' parsers."""
MAX_DIGITS = sys.get_int_max_str_digits()
"""The most digits of a number that Python reads from text; 0 is no limit. A body may change it, in
its own process only."""
STRICT: Mapping[str, Any] = {"allow_nan": False, "ensure_ascii": False}
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


# Escape sequences of ECMA-48: colours, links, window titles. Only complete ones are removed; of
# incomplete ones only the escape character.
_TERMINAL_CODES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[P\]X^_]|[\x90\x9d\x98\x9e\x9f])[^\x07\x1b\x90-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_SPACES = re.compile(r"[\s\x01-\x1f\x7f-\x9f]+")
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that reorder the text beside them, or are invisible: Bidi_Control, the byte order mark,
# interlinear annotations. Joiners of letters and emoji stay.
_INVISIBLE = re.compile(r"[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def clean_text(text: str) -> str:
    """Text to show: `storable`, one line, no control characters, at most `MAX_TEXT` characters."""
    text = _INVISIBLE.sub("", _TERMINAL_CODES.sub("", text))
    text = storable(_SPACES.sub(_as_spaces, text).strip())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def clean_error(text: str) -> str:
    """An error to store and to show: like `clean_text`, but it keeps its non-empty lines."""
    text = _INVISIBLE.sub("", _TERMINAL_CODES.sub("", text))
    lines = (_SPACES.sub(_as_spaces, line).strip() for line in text.splitlines())
    text = storable("\n".join(filter(None, lines)))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def one_line(error: str) -> str:
    """A stored error where one line is wanted: in the API, logs, Celery's results and commands."""
    return error.replace("\n", " ")


def clean_lines(text: str) -> str:
    """Text of several lines to show: `storable`, no control characters but tabs and line breaks."""
    text = _INVISIBLE.sub("", _TERMINAL_CODES.sub("", text))
    return storable(_CONTROLS.sub(" ", text.replace("\r\n", "\n")).rstrip())


def _as_spaces(found: re.Match[str]) -> str:
    """One space for line breaks and control characters; spaces stay unchanged."""
    return found[0] if found[0].strip(" \N{NO-BREAK SPACE}") == "" else " "


def clean_traceback(text: str) -> str:
    """A traceback to store: `storable`, its middle cut if it exceeds `MAX_TRACEBACK` characters."""
    text, part = storable(text), MAX_TRACEBACK // 2
    return text if len(text) <= MAX_TRACEBACK else f"{text[:part]}\n…\n{text[-part:]}"


def storable(text: str) -> str:
    """Text that every database accepts: no NUL, no lone surrogates."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")


def check_json(value: object, what: str = "the result is", depth: int = MAX_DEPTH) -> int:
    """Check that `value` is JSON, and that PostgreSQL's `jsonb` accepts it.

    Args:
        what: the beginning of the error text.
        depth: the nesting limit of lists and objects.

    Returns:
        The size of the JSON in bytes, as UTF-8.

    Raises:
        ResultNotJSON: the text names the type, NaN, NUL, lone surrogate, depth or keys at fault.
    """
    text, size = _encoded(json.JSONEncoder(**STRICT), value, what)
    _check_storable(value, text, what, depth)
    check_keys(value, what)
    return size


def plain_json(value: object, what: str = "the result is") -> tuple[Any, int]:
    """The value as JSON that can be stored, and the size of that in bytes, as UTF-8.

    It takes what Celery's JSON takes: `Decimal`, `datetime`, `date`, `time`, `UUID`, `bytes`, lazy
    text, objects with `__json__`, and types registered with `kombu.utils.json.register_type`. They
    become the text that kombu would store, without the name of the type around it. Of values whose
    types are derived from Python's only the value stays: their methods are an author's code.

    Raises:
        ResultNotJSON: see `check_json`.
    """
    encoder = PlainEncoder(**STRICT)
    text, size = _encoded(encoder, value, what)
    plain = json.loads(text) if encoder.converted or not _is_plain(value) else value
    _check_storable(plain, text, what, MAX_DEPTH)
    check_keys(value, what)
    return plain, size


def plain_form(stored: dict[str, Any]) -> Any:
    """An `object_hook` for JSON by kombu: the text of a value that JSON has no type for.

    Any other dict stays as it is.
    """
    if stored.keys() != {"__type__", "__value__"}:
        return stored
    match stored:
        case {"__type__": "uuid", "__value__": {"hex": str(digits)}}:
            return str(UUID(digits))
        case {"__type__": str(), "__value__": text}:
            return text
    return stored


class PlainEncoder(JSONEncoder):
    """Kombu's encoder, but with plain values. `converted`: there were some to convert."""

    converted = False

    def default(self, o: Any) -> Any:
        self.converted = True
        try:
            form = super().default(o)
        except (TypeError, ValueError, RecursionError):
            raise
        except Exception as exc:  # of `__json__`, or of a lazy text
            raise TypeError(f"{type(o).__name__} raised {type(exc).__name__}: {exc}") from exc
        return plain_form(form) if isinstance(form, dict) else form


def _encoded(encoder: json.JSONEncoder, value: object, what: str) -> tuple[str, int]:
    """The JSON, and its size in bytes, as UTF-8."""
    try:
        text = encoder.encode(value)
        return text, len(text.encode("utf-8"))
    except (TypeError, ValueError, RecursionError) as exc:
        raise ResultNotJSON(f"{what} not JSON: {exc}") from exc


def _is_plain(value: object) -> bool:
    try:
        marshal.dumps(value, 2)  # type: ignore[arg-type]  # it takes no type that is derived from another
    except ValueError:
        return False
    return True


def _check_storable(value: object, text: str, what: str, depth: int) -> None:
    if _NUL_ESCAPE.search(text):
        raise ResultNotJSON(f"{what} not JSON that can be stored: a text in it has a NUL")
    if MAX_DIGITS not in (0, sys.get_int_max_str_digits()) and _has_long_number(value):
        raise ResultNotJSON(
            f"{what} not JSON that can be read again: a number in it has more than "
            f"{MAX_DIGITS:,} digits; give it as text"
        )
    if _deeper_than(depth, value):
        raise ResultNotJSON(f"{what} not JSON that can be stored: it is nested deeper than {depth}")


def check_keys(value: object, what: str = "the result is") -> None:
    """Check that no two keys of a dict become the same key in JSON, where all keys are strings.

    Raises:
        ResultNotJSON: the text names both keys.
    """
    unread, known = [value], set()
    while unread:
        whole = unread.pop()
        if id(whole) in known:
            continue  # a circular reference
        known.add(id(whole))
        unread += _parts(whole)
        if isinstance(whole, Mapping) and not all(isinstance(key, str) for key in whole):
            _check_keys_of(whole, what)


def _check_keys_of(whole: Mapping[Any, object], what: str) -> None:
    seen: dict[str, object] = {}
    for key in whole:
        try:
            (text,) = json.loads(json.dumps({key: None}))
        except TypeError:
            continue  # not JSON at all, which `json.dumps` reports better
        if text in seen:
            raise ResultNotJSON(
                f"{what} not JSON that keeps all of it: the keys {seen[text]!r} and {key!r} "
                "of a dict are the same there; use only one of the two, or other texts"
            )
        seen[text] = key


def _deeper_than(limit: int, value: object) -> bool:
    layer = [value]
    for _ in range(limit):
        if not layer:
            return False
        layer = [part for whole in layer for part in _parts(whole)]
    return any(isinstance(part, dict | list | tuple) for part in layer)


def _has_long_number(value: object) -> bool:
    unread, most = [value], 10**MAX_DIGITS
    while unread:
        whole = unread.pop()
        if isinstance(whole, int) and not -most < whole < most:
            return True
        unread += _parts(whole)
    return False


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
