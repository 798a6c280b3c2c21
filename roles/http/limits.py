"""Limits on the time that clients may take, and on the number of connections."""

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Limits", "Phase"]


class Phase(Enum):
    """What a connection is waiting for."""

    IDLE = auto()
    """The next request, after an answer."""
    HEADERS = auto()
    BODY = auto()
    SERVED = auto()
    """The application's answer, which has no deadline."""
    SENDING = auto()
    """The client to read the answer."""
    LINGERING = auto()
    """The client to read the last answer and to stop sending, before the socket is closed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds.

    `rate`: bytes of a body or an answer that extend the deadline by a second. So a client on a slow
    line has enough time, and one that sends byte by byte has not.
    `connections`: how many at once. One more closes the one that we have waited for longest.
    """

    idle: float
    headers: float
    body: float
    rate: float
    connections: int
    lingering: float = 5.0

    def of(self, phase: Phase) -> float | None:
        """How long a phase may last in which no byte moves; None for no limit."""
        match phase:
            case Phase.IDLE:
                return self.idle
            case Phase.HEADERS:
                return self.headers
            case Phase.BODY | Phase.SENDING:
                return self.body
            case Phase.LINGERING:
                return self.lingering
            case Phase.SERVED:
                return None
