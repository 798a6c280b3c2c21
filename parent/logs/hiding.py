"""What must not be in a kept log: what the settings name, and secret parameters of the run."""

import re
from collections.abc import Collection, Iterable
from functools import cache

from parent.definition.parameters.secrets import HIDDEN, masked

__all__ = ["hide"]


def hide(text: str, patterns: Iterable[str], secrets: Collection[str] = ()) -> str:
    """The text with `HIDDEN` in place of the secrets, and of what the patterns match.

    Args:
        patterns: regular expressions. Of one with a group `secret`, only that group is replaced.
    """
    for pattern in patterns:
        text = _hide_matches(text, _compiled(pattern))
    return masked(text, set(secrets)) if secrets else text


def _hide_matches(text: str, pattern: re.Pattern[str]) -> str:
    group = "secret" if "secret" in pattern.groupindex else 0

    def replaced(found: re.Match[str]) -> str:
        begin, end = found.span(group)
        if begin < 0:
            return found[0]  # the group is optional, and is not there
        start = found.start()
        return f"{found[0][: begin - start]}{HIDDEN}{found[0][end - start :]}"

    return pattern.sub(replaced, text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
