"""How long the ticks of a worker's watch take, measured in the worker."""

import time

from bench.flows.tasks import broker
from parent.watch.tick import Ticker

__all__ = ["taken", "tell"]

TOLD = "ticks"


def tell() -> None:
    """Send the seconds of each tick of this process to the broker."""
    tick, server = Ticker.tick, broker()

    def timed(ticker: Ticker) -> bool:
        began = time.perf_counter()
        held = tick(ticker)
        if held:
            server.rpush(TOLD, time.perf_counter() - began)
        return held

    setattr(Ticker, "tick", timed)  # noqa: B010 - mypy forbids to assign a method


def taken() -> list[float]:
    """The seconds of the ticks that were sent."""
    return [float(seconds) for seconds in broker().lrange(TOLD, 0, -1)]
