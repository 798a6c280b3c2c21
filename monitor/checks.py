"""System checks, so that an unusable policy or throttle is found at start-up."""

from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning, register
from rest_framework.settings import api_settings

from monitor.policy import DEFAULT, Policy, policy

__all__ = ["check_policy", "check_throttles"]

QUESTIONS = [name for name in vars(Policy) if not name.startswith("_")]


@register("monitor")
def check_policy(**_: Any) -> list[CheckMessage]:
    """`WORKFLOW_POLICY` names a class with all methods of `Policy`."""
    name = getattr(settings, "WORKFLOW_POLICY", DEFAULT)
    try:
        rule = policy()
    except Exception as exc:  # its module may raise anything
        problem = f"WORKFLOW_POLICY={name} cannot be used: {exc}."
        return [Error(problem, hint=f"Write, for example, {DEFAULT}.", id="monitor.E001")]
    missing = [name for name in QUESTIONS if not callable(getattr(rule, name, None))]
    if not missing:
        return []
    problem = f"WORKFLOW_POLICY={name} does not answer: {', '.join(missing)}."
    return [Error(problem, hint=f"Derive it from {DEFAULT}.", id="monitor.E002")]


@register("monitor", deploy=True)
def check_throttles(**_: Any) -> list[CheckMessage]:
    """All web processes count starts together."""
    if api_settings.DEFAULT_THROTTLE_RATES.get("start") is None:
        return []
    if not isinstance(caches["default"], LocMemCache):
        return []
    return [
        Warning(
            "Each web process counts starts by itself: START_RATE holds for each of them.",
            hint="Set CACHE_URL to a server that they share, such as redis://host:6379/1.",
            id="monitor.W001",
        )
    ]
