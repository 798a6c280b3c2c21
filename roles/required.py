"""What a deployment has to say: for one, no default is right."""

from django.conf import settings
from django.core.management.base import CommandError

from mainproj.environment import env

__all__ = ["require"]

NEEDED = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL")


def require(*names: str) -> None:
    """Stop the start where one of these variables, or of all that are needed, is not set.

    On one machine, with `LOCAL` or `DEBUG`, nothing is needed.

    Raises:
        CommandError: it is; a line for each.
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
        raise CommandError("\n".join([*lines, "(On your own machine LOCAL=on does without.)"]))
