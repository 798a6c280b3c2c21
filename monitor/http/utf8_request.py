"""A request in UTF-8, whatever it says itself."""

from django.core.handlers.wsgi import WSGIRequest

__all__ = ["UTF8Request"]


class UTF8Request(WSGIRequest):
    """Django's, but without an `encoding`: the charset in the `Content-Type` does not count.

    Django reads the address and the form by it. It may name any codec of Python's: one that makes
    no text, at which Django fails before any middleware is asked, or one that makes text which no
    database can store. Forms that say they are in another one are refused by `ErrorResponses`.
    """

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, charset: str | None) -> None:
        pass
