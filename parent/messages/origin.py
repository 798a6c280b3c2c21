"""Who and what started a run, as the headers of its parent task's message say.

A Celery client that sends a parent task has no `owner=`: it names the user in a header. The name
of a periodic task is in the header that django-celery-beat writes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from django.contrib.auth import get_user_model

from children.sanitize import clean_text
from parent.errors import UnknownOwner

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["OWNER", "PERIODIC_TASK", "Origin", "origin_of", "user_named"]

OWNER = "workflow_owner"
PERIODIC_TASK = "periodic_task_name"
LONGEST_NAME = 200
"""Characters of a periodic task's name: as many as django-celery-beat takes."""


class Origin(TypedDict):
    """What a start takes of a parent task's message."""

    owner: "User | None"
    periodic_task: str


def origin_of(request: Any) -> Origin:
    """Who the run belongs to, and which periodic task started it, by Celery's request.

    Raises:
        UnknownOwner: there is no such user.
    """
    headers: Mapping[str, Any] = request.headers or {}
    owner, name = headers.get(OWNER), headers.get(PERIODIC_TASK)
    return Origin(
        owner=None if owner is None else _owner(str(owner)),
        periodic_task=clean_text(str(name or ""))[:LONGEST_NAME],
    )


def _owner(name: str) -> "User":
    try:
        return user_named(name)
    except UnknownOwner as exc:
        raise UnknownOwner(f"{exc}: correct the header {OWNER!r}, or leave it out.") from exc


def user_named(name: str) -> "User":
    """The user with this natural key: the value of the model's `USERNAME_FIELD`.

    Raises:
        UnknownOwner: there is none.
    """
    model: Any = get_user_model()
    users = model._default_manager
    find = getattr(users, "get_by_natural_key", None)
    try:
        return cast("User", find(name) if find else users.get(**{model.USERNAME_FIELD: name}))
    except (model.DoesNotExist, ValueError) as exc:  # ValueError: the field is a number or a UUID
        field = model._meta.get_field(model.USERNAME_FIELD).verbose_name
        raise UnknownOwner(f"There is no user whose {field} is {name!r}") from exc
