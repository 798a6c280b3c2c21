"""Parse a run's parameters on the command line: `limit=10 name=x file=@data.csv`."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import CommandError

from parent.definition.parameters.json_text import RepeatedKey, read_json

__all__ = ["HELP", "VALUE_HELP", "params_of"]

HELP = (
    "A parameter. The value is read as JSON where it is JSON (limit=10, tags='[1, 2]'), else as "
    "text (name=x); '\"10\"' is a text of digits. key=@path opens a file, for a file parameter; "
    "for one that takes several, write it once for each."
)

VALUE_HELP = (
    "A value. It is read as JSON where it is JSON (limit=10, tags='[1, 2]'), else as text "
    "(comment=fine); '\"10\"' is a text of digits."
)


def params_of(words: Iterable[str], files: ExitStack) -> dict[str, Any]:
    """The parameters that `words` name.

    Args:
        files: closes the files that were opened.

    Raises:
        CommandError: a word is not `key=value`, a key comes twice, or a file cannot be opened.
    """
    params: dict[str, Any] = {}
    opened: dict[str, list[File[bytes]]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise CommandError(f"{word!r} is not a parameter: write key=value, such as limit=10.")
        is_file = value[:1] == "@"
        if key in params or (key in opened and not is_file):
            raise CommandError(f"{key!r} is given twice: leave one of them out.")
        if is_file:
            opened.setdefault(key, []).append(_opened(word, value[1:], files))
        else:
            params[key] = _value(value)
    return params | {key: given if given[1:] else given[0] for key, given in opened.items()}


def _value(text: str) -> Any:
    try:
        return read_json(text)
    except RepeatedKey as exc:
        raise CommandError(f"{text!r} cannot be used: {exc}.") from None
    except (ValueError, RecursionError):
        return text


def _opened(word: str, path: str, files: ExitStack) -> "File[bytes]":
    try:
        handle = files.enter_context(Path(path).open("rb"))  # noqa: SIM115 - `files` closes it
    except OSError as exc:
        raise CommandError(
            f"{word}: the file {path!r} cannot be opened ({exc.strerror}). "
            "Correct the path, or write the value as '\"@...\"' if it is a text."
        ) from exc
    return File(handle, name=Path(path).name)
