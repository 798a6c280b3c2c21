"""The account of the user who runs everything on one machine."""

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.crypto import salted_hmac
from sesame.utils import get_query_string

from monitor.models import ApiToken

__all__ = ["USERNAME", "api_token", "local_user", "login_path"]

USERNAME = "local"


def local_user() -> User:
    """The user `local`, created on first use: staff and superuser, without a password.

    Raises:
        django.db.DatabaseError: the database cannot be written, even if the user exists.
    """
    local = User.objects.filter(username=USERNAME)
    # A write that changes nothing. Without it, only the worker would notice a read-only
    # database that is up to date, and it would wait for the database.
    if local.update(username=USERNAME):
        return local.get()
    return User.objects.create_superuser(username=USERNAME)


def api_token(user: User) -> str:
    """The user's token for the API; the same at each call.

    It is not stored, but derived from the secret key.
    """
    key = salted_hmac("quickstart.account.api_token", user.username, algorithm="sha256")
    return ApiToken.objects.issue(user, key.hexdigest()[:40])


def login_path(user: User) -> str:
    """The path and query of a link that logs the user in, once."""
    return f"{reverse('login-link')}{get_query_string(user)}"
