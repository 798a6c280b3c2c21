"""Our own URLs, wherever a project includes them: under any prefix, and in any namespace."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from parent.conf import run_url

__all__ = ["APP_NAME", "namespace_of", "our_url", "public_url"]

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


def public_url(name: str, *args: object) -> str | None:
    """The address of one of our views, as people reach it, where no request says what that is.

    None if `WORKFLOW_RUN_URL` is not the address of our page of a run, so that it does not say
    where our pages are.
    """
    some_id = UUID(int=0)
    try:
        page, path = (
            reverse(f"{APP_NAME}:run", args=[some_id]),
            reverse(f"{APP_NAME}:{name}", args=args),
        )
    except NoReverseMatch:
        return None
    url = run_url().replace("{id}", str(some_id))
    return url.removesuffix(page) + path if url.endswith(page) else None
