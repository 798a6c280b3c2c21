"""The time of followers is counted while any of them works."""

from types import SimpleNamespace

import pytest

from children.worker import follower_time
from children.worker.follower_time import FollowerTime


def test_it_counts_while_it_is_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([10.0, 12.0, 13.0, 14.0, 16.0, 19.0, 20.0, 30.0])
    clock = SimpleNamespace(monotonic=lambda: next(moments))
    monkeypatch.setattr(follower_time, "time", clock)
    counted = FollowerTime()

    assert counted.seconds() == 0.0
    with counted:  # from 12 on
        assert counted.seconds() == 1.0
        with counted:  # from 14 to 19, as another thread would
            assert counted.seconds() == 4.0
    # until 20, and nobody until 30
    assert counted.seconds() == 8.0
