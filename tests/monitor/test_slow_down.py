"""How long callers are asked to wait, by the time that their polls take."""

import heapq
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from monitor.polling import slow_down as module
from monitor.polling.slow_down import LONGEST_MS, SHARE, Pace
from tests.monitor.conftest import MakeRun

Api = Callable[[User | None], APIClient]

PAUSE_MS = 500.0


def load_of(pace: Pace, callers: int, seconds: float, *, begin: float, until: float) -> float:
    """Let callers poll as they are told, from `begin` to `until`, by a clock that is not real.

    Each answer takes so many seconds. Returns how many were worked on at a time in the second half.
    """
    due = [(begin + n * PAUSE_MS / 1000 / callers, n) for n in range(callers)]
    worked = 0.0
    while due[0][0] < until:
        now, caller = heapq.heappop(due)
        pace.add(seconds, now)
        worked += seconds * (now > (begin + until) / 2)
        heapq.heappush(due, (now + seconds + pace.longer(PAUSE_MS, now) / 1000, caller))
    return worked / ((until - begin) / 2)


@pytest.mark.parametrize(
    ("callers", "seconds"), [(1, 0.005), (1, 0.02), (4, 0.005), (20, 0.001)], ids=str
)
def test_few_callers_wait_no_longer(callers: int, seconds: float) -> None:
    pace = Pace()

    load_of(pace, callers, seconds, begin=0, until=60)

    assert pace.longer(PAUSE_MS, 60) == pytest.approx(PAUSE_MS, rel=0.05)


@pytest.mark.parametrize(
    ("callers", "seconds"), [(10, 0.01), (50, 0.003), (50, 0.004), (5, 0.04)], ids=str
)
def test_many_callers_take_no_more_than_the_share(callers: int, seconds: float) -> None:
    pace = Pace()

    assert load_of(pace, callers, seconds, begin=0, until=120) == pytest.approx(SHARE, rel=0.1)
    assert PAUSE_MS < pace.longer(PAUSE_MS, 120) < LONGEST_MS


@pytest.mark.parametrize("pause", [500.0, 2_000.0, 5_000.0, 30_000.0])
def test_no_pause_becomes_longer_than_the_longest_or_shorter(pause: float) -> None:
    pace = Pace()
    load_of(pace, 200, 0.2, begin=0, until=60)

    assert pace.longer(pause, 60) == max(pause, LONGEST_MS)


def test_when_they_have_gone_the_pauses_are_short_again() -> None:
    pace = Pace()
    load_of(pace, 50, 0.01, begin=0, until=60)

    assert pace.longer(PAUSE_MS, 100) == PAUSE_MS


@pytest.mark.django_db
def test_an_answer_of_a_busy_server_says_so(
    owner: User, api: Api, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, run = api(owner), make_run(owner)

    def pause() -> int:
        return int(client.get(f"/tasks/{run.pk}/").json()["poll_after_ms"])

    usual = pause()
    monkeypatch.setattr(module, "SHARE", 1e-9)

    assert pause() == pytest.approx(LONGEST_MS, rel=0.11)
    assert usual < LONGEST_MS / 2
