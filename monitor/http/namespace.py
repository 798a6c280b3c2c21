"""Our own URLs, wherever a project includes them: under any prefix, and in any namespace."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

__all__ = ["APP_NAME", "namespace_of", "our_url"]

APP_NAME = "monitor"


def namespace_of(request: HttpRequest | Any | None) -> str:
    """The namespace in which a request has reached us, such as `monitor` or `office:monitor`.

    For a request that none of our views answers it is `monitor`, the default of an include.
    """
    match: Any = getattr(request, "resolver_match", None)
    if match is None or match.app_names[-1:] != [APP_NAME]:
        return APP_NAME
    return ":".join(match.namespaces)


def our_url(request: HttpRequest | Any | None, name: str, *args: object) -> str:
    """The path of one of our views, beside the view that answers this request.

    Raises:
        NoReverseMatch: there is no such name, or our URLs are not there where `namespace_of` says.
    """
    return reverse(f"{namespace_of(request)}:{name}", args=args)
