"""Reads JSON bodies. What Python's parser cannot parse is a client's error too."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.utils.json import strict_constant

__all__ = ["JSONParser", "with_each_key"]

LONGEST_SHOWN = 100  # characters of a key


class JSONParser(parsers.JSONParser):
    """DRF's, but for UTF-8 only (RFC 8259), strict whatever the project's STRICT_JSON says, and
    with an error for bodies nested too deep and for objects that have a key twice.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 - DRF's
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """The body as Python objects.

        Raises:
            ParseError: it is not JSON, nested too deep, or has a key twice.
        """
        try:
            text = stream.read().decode()
            return json.loads(text, parse_constant=strict_constant, object_pairs_hook=with_each_key)
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deep") from None
        except ValueError as exc:
            raise ParseError(f"JSON parse error - {exc}") from None


def with_each_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of two values under one key Python would drop the first, and say nothing.

    Raises:
        ValueError: a key is there twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:LONGEST_SHOWN]!r} is there twice: send it once")
        found[key] = value
    return found
