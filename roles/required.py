"""The variables that a deployment must set."""

from django.conf import settings
from django.core.management.base import CommandError

from mainproj.environment import env

__all__ = ["require"]

NEEDED = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL")


def require(*names: str) -> None:
    """Stop the start if one of these variables is not set; without names, one of all required.

    On one machine, with `LOCAL` or `DEBUG`, none is required.

    Raises:
        CommandError: with a line for each that is missing.
    """
    if settings.PLAIN_HTTP:
        return
    examples = {each.name: each.example for each in env.declared}
    lines = [
        f"{name} is not set, and a deployment needs it. Write, for example, {name}={examples[name]}"
        for name in names or NEEDED
        if not env.is_set(name)
    ]
    if lines:
        raise CommandError(
            "\n".join([*lines, "(On your own machine, LOCAL=on needs none of them.)"])
        )
