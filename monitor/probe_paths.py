"""The paths that machines ask: by plain HTTP, and for `HEALTH` without a login."""

__all__ = ["ALL", "HEALTH", "METRICS", "READY"]

HEALTH, READY, METRICS = ALL = ("healthz", "readyz", "metrics")
