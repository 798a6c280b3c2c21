"""The engine's settings and their defaults. Times are in seconds, sizes in bytes."""

from collections.abc import Mapping

from django.conf import settings

__all__ = [
    "DEFAULTS",
    "HIDE_IN_LOGS",
    "INTERVALS",
    "LIMITS",
    "MAX_BODY_VALUES",
    "SIZES",
    "interval",
    "limit_sizes",
    "log_hides",
    "log_level",
    "max_body_values",
    "nesting_limit",
    "private_webhooks",
    "run_url",
    "setting",
]

INTERVALS: dict[str, float] = {
    "WORKFLOW_POLL_INTERVAL": 0.5,
    "WORKFLOW_HEARTBEAT": 5.0,
    "WORKFLOW_LEASE": 30.0,
    "WORKFLOW_NOTIFICATION_TIMEOUT": 10.0,
    "WORKFLOW_DECISION_LINK_AGE": 259_200.0,
}
"""Settings that cannot be off: 0 and None mean the default."""

LIMITS: dict[str, float | None] = {
    "WORKFLOW_QUEUE_TIMEOUT": 600.0,
    "WORKFLOW_RUN_TIMEOUT": None,
    "WORKFLOW_STALL_TIMEOUT": None,
    "WORKFLOW_CANCEL_GRACE": 10.0,
    "WORKFLOW_SHUTDOWN_GRACE": 30.0,
    "WORKFLOW_RETENTION": 30 * 86_400.0,
    "WORKFLOW_SCHEDULE_GRACE": 60.0,
    "WORKFLOW_TIME_SLICE": 0.5,
    "WORKFLOW_RESULT_INLINE_LIMIT": 1_048_576.0,
    "WORKFLOW_MAP_LIMIT": 100_000.0,
    "WORKFLOW_NESTING_LIMIT": 5.0,
    "WORKFLOW_SIGNAL_LIMIT": 65_536.0,
    "WORKFLOW_LOG_LINES": 1_000.0,
    "WORKFLOW_LOG_BYTES": 262_144.0,
}
"""Settings that can be off, by 0 or None: then no time limit applies, a cancel has no grace,
each child has a message of its own, no result is inline, a step may have any number of items, and
no schedule is too late. A signal may have any size. Workflows may be inside of each other as deep
as Python allows. No line of a log is kept, or lines of any size together.
"""

SIZES = {
    "WORKFLOW_RESULT_INLINE_LIMIT",
    "WORKFLOW_MAP_LIMIT",
    "WORKFLOW_NESTING_LIMIT",
    "WORKFLOW_SIGNAL_LIMIT",
    "WORKFLOW_LOG_LINES",
    "WORKFLOW_LOG_BYTES",
}
"""Those that are whole numbers. The others are seconds."""

HIDE_IN_LOGS = [
    # Nothing that may repeat stands before a name, and what stands after it is short: a long line
    # of any text takes no longer than its length.
    r"(?i)(?:passw(?:or)?d|passphrase|secret|token|(?:api|private)[_-]?key|authorization|cookie)"
    r"[\w-]{0,40}\\{0,3}[\"']?\s{0,5}[:=]\s{0,5}"
    # In JSON inside of JSON a quote has a backslash before it.
    r"(?P<secret>\\{0,3}(?:\"[^\"]*\"|'[^']*')|(?:(?:bearer|basic|token)\s{1,5})?[^\s,;&}]+)",
    r"://[^\s/:@]*:(?P<secret>[^\s/@]+)@",
]
"""What `WORKFLOW_LOG_HIDE` is by default: the values after names of secrets, and the passwords in
URLs."""

DEFAULTS: dict[str, float | None] = {**INTERVALS, **LIMITS}


MAX_BODY_VALUES = 20_000
"""The default of the setting: the most values in a body."""

DEEPEST = 50
"""Runs inside of each other without a limit: deeper, Python would raise a RecursionError."""


def setting(name: str) -> float | None:
    """The value of `WORKFLOW_<name>`; None where it is off."""
    key = f"WORKFLOW_{name}"
    value = getattr(settings, key, DEFAULTS[key])
    return float(value) if value else None


def interval(name: str) -> float:
    """The value of `WORKFLOW_<name>`, which is one of `INTERVALS`."""
    return setting(name) or INTERVALS[f"WORKFLOW_{name}"]


def nesting_limit() -> int:
    """How many runs may be inside of each other, below the outermost."""
    return int(setting("NESTING_LIMIT") or DEEPEST)


def max_body_values() -> int:
    """The most values in a body, lists and objects included."""
    return int(getattr(settings, "MAX_BODY_VALUES", None) or MAX_BODY_VALUES)


def limit_sizes() -> Mapping[str, int | str]:
    """The limits that steps may share, by name: how many at a time, or a rate (`"100/m"`)."""
    found: Mapping[str, int | str] = getattr(settings, "WORKFLOW_LIMITS", None) or {}
    return found


def run_url() -> str:
    """The address of a run's page for people, with `{id}` in place of the id; empty if unknown."""
    return str(getattr(settings, "WORKFLOW_RUN_URL", "") or "")


def private_webhooks() -> bool:
    """Whether webhooks may go to addresses inside the network, and over plain http."""
    return bool(getattr(settings, "WORKFLOW_WEBHOOK_ALLOW_PRIVATE", False))


def log_level() -> str:
    """The lowest level of the lines that are kept of what a child logs."""
    return str(getattr(settings, "WORKFLOW_LOG_LEVEL", "") or "INFO")


def log_hides() -> list[str]:
    """Regular expressions of what must not be in a kept log; see `HIDE_IN_LOGS`."""
    return list(getattr(settings, "WORKFLOW_LOG_HIDE", HIDE_IN_LOGS))
