"""The account of the user who runs everything on one machine."""

from typing import Any, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import CharField, EmailField, TextField
from django.urls import reverse
from django.utils.crypto import salted_hmac
from sesame.utils import get_query_string

from monitor.models import ApiToken
from quickstart.errors import CannotMakeUser

__all__ = ["USERNAME", "api_token", "local_user", "login_path"]

USERNAME = "local"


def local_user() -> User:
    """The user `local`, created on first use: staff and superuser, without a password.

    Raises:
        django.db.DatabaseError: the database cannot be written, even if the user exists.
        CannotMakeUser: the project's users need more than a name.
    """
    model: Any = get_user_model()
    key = {model.USERNAME_FIELD: _text_for(model._meta.get_field(model.USERNAME_FIELD))}
    local = model._default_manager.filter(**key)
    # A write that changes nothing. Without it, only the worker would notice a read-only
    # database that is up to date, and it would wait for the database.
    if local.update(**key):
        return cast(User, local.get())
    required = map(model._meta.get_field, model.REQUIRED_FIELDS)
    needed = [field for field in required if not (field.blank or field.has_default())]
    texts = {field.name: _text_for(field) for field in needed}
    if unknown := [name for name, text in texts.items() if text is None]:
        raise CannotMakeUser(
            f"`up` cannot make its user {USERNAME!r}: your users need {', '.join(unknown)}. "
            f"Make it by `python manage.py createsuperuser`, with the {model.USERNAME_FIELD} "
            f"{key[model.USERNAME_FIELD]}."
        )
    return cast(User, model._default_manager.create_superuser(**key, **texts))


def _text_for(field: Any) -> str | None:
    """What the local user has in a field of the project's model; None if that is not known."""
    if isinstance(field, EmailField):
        return f"{USERNAME}@localhost"
    return USERNAME if isinstance(field, CharField | TextField) else None


def api_token(user: User) -> str:
    """The user's token for the API; the same at each call.

    It is not stored, but derived from the secret key.
    """
    key = salted_hmac("quickstart.account.api_token", user.get_username(), algorithm="sha256")
    return ApiToken.objects.issue(user, key.hexdigest()[:40])


def login_path(user: User) -> str:
    """The path and query of a link that logs the user in, once."""
    return f"{reverse('login-link')}{get_query_string(user)}"
