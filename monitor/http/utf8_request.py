"""A request in UTF-8, whatever it says itself."""

from typing import Any

from django.core.handlers.wsgi import WSGIRequest

__all__ = ["UTF8Request"]


class UTF8Request(WSGIRequest):
    """Django's, but with any `Content-Type`, and without an `encoding`: its charset does not count.

    Django reads the address and the form by it. It may name any codec of Python's: one that makes
    no text, at which Django fails before any middleware is asked, or one that makes text which no
    database can store. Forms that say they are in another one are refused by `ErrorResponses`.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        try:
            super().__init__(environ)
        except ValueError:  # a parameter of the type is in a charset that there is not
            super().__init__(environ | {"CONTENT_TYPE": ""})

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, charset: str | None) -> None:
        pass
