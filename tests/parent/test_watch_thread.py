"""The watch thread of a worker goes on, whatever a turn of it raises."""

import asyncio
import threading
from typing import Any

import pytest

from parent.models import Executor
from parent.worker.bootstep import WatchThread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "raised",
    [ValueError("odd"), SystemExit(3), asyncio.CancelledError("odd")],
    ids=lambda error: type(error).__name__,
)
def test_it_goes_on(
    executor: Executor, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    watch, turns, again = WatchThread(executor.pk, [], "threads"), [raised], threading.Event()
    monkeypatch.setattr("parent.worker.bootstep.STANDBY_INTERVAL", 0.01)

    def turn(*_: Any) -> float:
        if turns:
            raise turns.pop()
        again.set()
        return 0.01

    monkeypatch.setattr(WatchThread, "turn", turn)
    watch.start()
    try:
        assert again.wait(20)
    finally:
        watch.stop()
    assert not watch.is_alive()
