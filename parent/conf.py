"""The engine's settings, each with its default. Times are in seconds, sizes in bytes; of a time 0
or None is "never".
"""

from django.conf import settings

__all__ = ["setting"]

DEFAULTS: dict[str, float | None] = {
    "WORKFLOW_POLL_INTERVAL": 0.5,
    "WORKFLOW_QUEUE_TIMEOUT": 600.0,
    "WORKFLOW_RUN_TIMEOUT": None,
    "WORKFLOW_STALL_TIMEOUT": None,
    "WORKFLOW_HEARTBEAT": 5.0,
    "WORKFLOW_LEASE": 30.0,
    "WORKFLOW_CANCEL_GRACE": 10.0,
    "WORKFLOW_SHUTDOWN_GRACE": 30.0,
    "WORKFLOW_RETENTION": 30 * 86_400.0,
    "WORKFLOW_RESULT_INLINE_LIMIT": 1_048_576.0,
}


def setting(name: str) -> float | None:
    """The value of `WORKFLOW_<name>`; None where it is off."""
    key = f"WORKFLOW_{name}"
    value = getattr(settings, key, DEFAULTS[key])
    return float(value) if value else None
