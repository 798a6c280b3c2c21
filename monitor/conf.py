"""The monitor's settings and their defaults. `WORKFLOW_POLICY` is in `monitor.policy`."""

from django.conf import settings

__all__ = [
    "MAX_UPLOAD_BYTES",
    "START_RATE",
    "access_log",
    "max_upload_bytes",
    "metrics_token",
    "start_rate",
]

MAX_UPLOAD_BYTES = 100 * 1024**2
"""The default of the setting: the largest body with files."""

START_RATE = "60/min"
"""The default of `WORKFLOW_START_RATE`."""


def start_rate() -> str | None:
    """How often one user may start runs, as DRF writes a rate; None without a limit."""
    return getattr(settings, "WORKFLOW_START_RATE", START_RATE) or None


def metrics_token() -> str:
    """The token that opens the probes to programs; empty if there is none."""
    return getattr(settings, "METRICS_TOKEN", "") or ""


def max_upload_bytes() -> int:
    """The largest body with files, for our middleware and web server."""
    return int(getattr(settings, "MAX_UPLOAD_BYTES", None) or MAX_UPLOAD_BYTES)


def access_log() -> bool:
    """Whether our middleware logs each request."""
    return bool(getattr(settings, "ACCESS_LOG", True))
