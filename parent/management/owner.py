"""Finds users by what they log in with: a name, an address, whatever the project's model says."""

from typing import TYPE_CHECKING

from django.core.management.base import CommandError

from parent.errors import UnknownOwner
from parent.messages.origin import user_named

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["user_by_name"]


def user_by_name(name: str) -> "User":
    """The user with this natural key: the value of the model's `USERNAME_FIELD`.

    Raises:
        CommandError: there is none.
    """
    try:
        return user_named(name)
    except UnknownOwner as exc:
        raise CommandError(f"{exc}: correct it, or leave --owner out.") from exc
