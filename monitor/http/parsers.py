"""Reads JSON bodies. What Python's parser cannot parse is a client's error too."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError

from parent.definition.parameters.json_text import read_json

__all__ = ["JSONParser"]


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
            return read_json(stream.read().decode())
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deep") from None
        except ValueError as exc:
            raise ParseError(f"JSON parse error - {exc}") from None
