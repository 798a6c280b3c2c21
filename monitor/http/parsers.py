"""Reading JSON bodies: what Python's parser cannot bear is the client's mistake too."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError

__all__ = ["JSONParser"]


class JSONParser(parsers.JSONParser):
    """DRF's, for UTF-8 alone (RFC 8259), and for bodies that are nested without end."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body as Python has it.

        Raises:
            ParseError: it is no JSON, or nested too deep.
        """
        # A client may name any of Python's codecs, and not all of them make text.
        context = {**(parser_context or {}), "encoding": "utf-8"}
        try:
            return super().parse(stream, media_type, context)
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deep") from None
