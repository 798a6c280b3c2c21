"""How long it will still take."""

from datetime import datetime

__all__ = ["eta_seconds"]


def eta_seconds(completion: float, started_at: datetime | None, now: datetime) -> float | None:
    """Seconds that are left at the pace so far; None within the first second or percent."""
    if started_at is None or completion < 1:
        return None
    elapsed = (now - started_at).total_seconds()
    if elapsed < 1:
        return None
    return round(elapsed * (100 - completion) / completion, 1)
