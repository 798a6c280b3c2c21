"""Finds users by what they log in with: a name, an address, whatever the project's model says."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["user_by_name"]


def user_by_name(name: str) -> "User":
    """The user with this natural key: the value of the model's `USERNAME_FIELD`.

    Raises:
        CommandError: there is none.
    """
    model: Any = get_user_model()
    users = model._default_manager
    find = getattr(users, "get_by_natural_key", None)
    try:
        return cast("User", find(name) if find else users.get(**{model.USERNAME_FIELD: name}))
    except (model.DoesNotExist, ValueError) as exc:  # of a number or a UUID, say
        field = model._meta.get_field(model.USERNAME_FIELD).verbose_name
        raise CommandError(
            f"There is no user whose {field} is {name!r}: correct it, or leave --owner out."
        ) from exc
