"""The pages to log in. A project that has our apps among its own logs people in by itself."""

from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from sesame.views import LoginView as SesameLoginView

__all__ = ["LinkLoginPage", "LoginPage"]


class LoginPage(LoginView):
    """Log in with name and password."""

    template_name = "monitor/login.html"
    redirect_authenticated_user = True


@method_decorator(login_not_required, name="dispatch")
class LinkLoginPage(SesameLoginView):  # type: ignore[misc]
    """Log in with a one-time link."""

    def login_failed(self) -> HttpResponse:
        return render(self.request, "monitor/login_link.html", status=HTTPStatus.FORBIDDEN)
