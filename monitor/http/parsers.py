"""Reads JSON bodies. What Python's parser cannot parse is a client's error too."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError

__all__ = ["JSONParser"]


class JSONParser(parsers.JSONParser):
    """DRF's, but for UTF-8 only (RFC 8259), and with an error for bodies nested too deep."""

    strict = True  # whatever the project's STRICT_JSON says

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body as Python objects.

        Raises:
            ParseError: it is not JSON, or nested too deep.
        """
        # A client may name any of Python's codecs, and not all of them return text.
        context = {**(parser_context or {}), "encoding": "utf-8"}
        try:
            return super().parse(stream, media_type, context)
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deep") from None
