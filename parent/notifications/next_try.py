"""What follows a try: delivered, tried again, given up, or nobody wants it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from parent.models import DeliveryState

__all__ = ["DAY", "DELAYS", "Outcome", "Verdict", "decide", "retry_after"]

DAY = 86_400.0
DELAYS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 36_000)
"""Seconds before each further try: about a day together."""

GONE = 410


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a try ended.

    Args:
        error: what went wrong; empty if it was delivered.
        status: the HTTP status of the answer, if there was one.
        retry_after: seconds that the receiver asks to wait.
        unwanted: nobody is there to get it, so that it is not tried again.
    """

    error: str = ""
    status: int | None = None
    retry_after: float | None = None
    unwanted: bool = False

    @property
    def gone(self) -> bool:
        """The receiver wants nothing more at this URL."""
        return self.status == GONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The state that follows; `wait`: seconds until the next try, if there is one."""

    state: DeliveryState
    wait: float | None = None


def decide(outcome: Outcome, attempts: int, jitter: float = 1.0) -> Verdict:
    """What follows the try number `attempts`.

    Args:
        jitter: by what each wait is multiplied, so that not all come back at once.
    """
    if not outcome.error:
        return Verdict(state=DeliveryState.DELIVERED)
    if outcome.gone or outcome.unwanted:
        return Verdict(state=DeliveryState.DROPPED)
    if attempts > len(DELAYS):
        return Verdict(state=DeliveryState.FAILED)
    wait = max(DELAYS[attempts - 1] * jitter, outcome.retry_after or 0.0)
    return Verdict(state=DeliveryState.WAITING, wait=min(wait, DAY))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that a `Retry-After` asks for, as a number or as a date; None without one.

    Its name is in lower case in `headers`.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError):
        return None
