"""The pages to log in. A project that has our apps among its own logs people in by itself."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from sesame.views import LoginView as SesameLoginView

__all__ = ["LinkLoginPage", "LoginPage", "counted_name"]

LONGEST_NAME = 255
"""Characters of a name that django-axes can store. Those of users are shorter."""


class LoginPage(LoginView):
    """Log in with name and password."""

    template_name = "monitor/login.html"
    redirect_authenticated_user = True


@method_decorator(login_not_required, name="dispatch")
class LinkLoginPage(SesameLoginView):  # type: ignore[misc]
    """Log in with a one-time link."""

    def login_failed(self) -> HttpResponse:
        return render(self.request, "monitor/login_link.html", status=HTTPStatus.FORBIDDEN)


def counted_name(request: HttpRequest, credentials: Mapping[str, Any] | None = None) -> str | None:
    """The name under which django-axes counts a login that has failed, `AXES_USERNAME_CALLABLE`."""
    name: str | None = (credentials or request.POST).get("username")
    return name and name[:LONGEST_NAME]
