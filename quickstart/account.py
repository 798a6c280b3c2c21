"""The local user: who a person is that runs everything on one machine."""

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.crypto import salted_hmac
from sesame.utils import get_query_string

from monitor.models import ApiToken

__all__ = ["USERNAME", "api_token", "local_user", "login_path"]

USERNAME = "local"


def local_user() -> User:
    """The user `local`, made on first use: staff and superuser, with no password to log in by.

    Raises:
        django.db.DatabaseError: the database cannot be written, even where nothing is new.
    """
    local = User.objects.filter(username=USERNAME)
    # A write that changes nothing: without it, a read-only database that is up to date would
    # be found out by the worker only, which waits for it to get better.
    if local.update(username=USERNAME):
        return local.get()
    return User.objects.create_superuser(username=USERNAME)


def api_token(user: User) -> str:
    """The user's token for the HTTP surface; the same one at every call.

    It is not stored, but made of the secret key anew.
    """
    key = salted_hmac("quickstart.account.api_token", user.username, algorithm="sha256")
    return ApiToken.objects.issue(user, key.hexdigest()[:40])


def login_path(user: User) -> str:
    """The path and query of a link that logs the user in, once."""
    return f"{reverse('login-link')}{get_query_string(user)}"
