"""How long a client may take for each part of a request, and how many there may be."""

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Limits", "Phase"]


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()
    """The next request of a client that has had an answer."""
    HEADERS = auto()
    BODY = auto()
    SERVED = auto()
    """The application's answer: no affair of the client's, and without a deadline."""
    SENDING = auto()
    """The client, to read its answer."""
    LINGERING = auto()
    """The client, to read its last answer, and to stop sending, before the socket is closed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds. `rate`: bytes of a body or an answer that are worth a second more, so
    that an honest client on a slow line may take its time, and one that trickles may not.
    `connections`: at once. For one more, the one goes that has kept us waiting longest.
    """

    idle: float
    headers: float
    body: float
    rate: float
    connections: int
    lingering: float = 5.0

    def of(self, phase: Phase) -> float | None:
        """How long a phase may last in which nothing moves; None for no end."""
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
