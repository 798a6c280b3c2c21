"""How long the turns of a worker's watch take, by the worker's own word."""

import time

from bench.flows.tasks import broker
from parent.watch.tick import Ticker

__all__ = ["taken", "tell"]

TOLD = "ticks"


def tell() -> None:
    """Have this process tell the broker of each tick of its own, in seconds."""
    tick, server = Ticker.tick, broker()

    def timed(ticker: Ticker) -> bool:
        began = time.perf_counter()
        held = tick(ticker)
        if held:
            server.rpush(TOLD, time.perf_counter() - began)
        return held

    setattr(Ticker, "tick", timed)  # noqa: B010 - mypy takes no method for another


def taken() -> list[float]:
    """The seconds of each tick that was told of."""
    return [float(seconds) for seconds in broker().lrange(TOLD, 0, -1)]
