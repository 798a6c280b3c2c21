"""Since when a process has worked on followers for a whole time slice."""

import math
from collections import deque
from threading import Lock

__all__ = ["LastSlice"]


class LastSlice:
    """Remembers how much of its time a process gave to followers, as far back as one slice."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._noted: deque[tuple[float, float]] = deque()

    def since(self, seconds: float, now: float, total: float) -> float:
        """The moment since when followers have taken one slice; -inf if they have not yet.

        Whoever has waited from before that moment has waited a slice longer for their sake. It is
        early by the time between two calls at most.

        Args:
            seconds: of one slice.
            now: the present moment, by a clock that only grows, as does `total`.
            total: the seconds that followers have taken in all, until now.
        """
        noted = self._noted
        with self._lock:
            if noted and noted[-1][1] == total:
                noted.pop()  # no follower has worked since
            noted.append((now, total))
            while len(noted) > 1 and total - noted[1][1] >= seconds:
                noted.popleft()
            moment, before = noted[0]
            return moment if total - before >= seconds else -math.inf
