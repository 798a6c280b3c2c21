"""What a deployment has to say: for one, no default is right."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import CommandError

from mainproj.environment import env

__all__ = ["missing", "require"]

NEEDED = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL")


def missing(*names: str) -> list[str]:
    """What to write for each, or each of all, that is not set; nothing with `LOCAL` or `DEBUG`."""
    if settings.PLAIN_HTTP:
        return []
    examples = {each.name: each.example for each in env.declared}
    return [
        f"{name} is not set, and a deployment needs it. Write, for example, {name}={examples[name]}"
        for name in names or NEEDED
        if not env.is_set(name)
    ]


def require(*names: str) -> None:
    """Stop the start where one of them is missing, or of all that are needed.

    Raises:
        CommandError: it is; a line for each.
    """
    if lines := missing(*names):
        raise CommandError("\n".join([*lines, "(On your own machine LOCAL=on does without.)"]))


@checks.register(checks.Tags.security, deploy=True)
def check_missing(**_: Any) -> list[checks.CheckMessage]:
    """For `check --deploy`, and the doctor."""
    return [checks.Error(line, id="roles.E001") for line in missing()]
