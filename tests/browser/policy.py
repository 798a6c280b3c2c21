"""A strict Content-Security-Policy for the tests' server, where the project sends none itself."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

__all__ = ["STRICT", "strict_policy"]

STRICT = (
    "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def strict_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", STRICT)
        return response

    return answer
