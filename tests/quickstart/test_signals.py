"""Which signals stop `up`."""

import os
import signal
from collections.abc import Iterator

import pytest

from quickstart.machine import stop_on_signals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of this process come back."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("ignored", [None, *NUMBERS])
def test_each_stops_it_unless_it_was_started_to_ignore_it(ignored: signal.Signals | None) -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)
    stopped: list[None] = []

    stop_on_signals(lambda: stopped.append(None))
    for number in NUMBERS:
        os.kill(os.getpid(), number)

    assert len(stopped) == (3 if ignored is None else 2)
