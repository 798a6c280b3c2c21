"""A request in UTF-8, whatever it says itself."""

from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import parse_header_parameters

__all__ = ["UTF8Request"]

INSTEAD = {"CONTENT_TYPE": "", "HTTP_ACCEPT": "*/*"}
"""What takes the place of a header that cannot be read: that of a request without it."""


class UTF8Request(WSGIRequest):
    """Django's request, but always read as UTF-8, and without headers that Django cannot read.

    Django would decode the address and the form with the charset that the client names in
    `Content-Type`. That may be any codec of Python. Some return no text, and Django fails before
    any middleware runs. Others return text that no database can store. So the charset is ignored
    here, and `ErrorResponses` refuses forms that name another one than UTF-8.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ | {n: v for n, v in INSTEAD.items() if not _is_read(environ, n)})

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, charset: str | None) -> None:
        pass


def _is_read(environ: dict[str, Any], name: str) -> bool:
    """Whether Django can read this header: its parameters may be in charsets that there are not."""
    value = environ.get(name, "")
    try:
        if "'" in value:  # as in each of those (RFC 2231)
            for part in (value, *value.split(",")):
                parse_header_parameters(part)
    except (ValueError, LookupError):
        return False
    return True
