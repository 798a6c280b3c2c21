"""The limit of starts per user, counted across several web processes."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from rest_framework.exceptions import Throttled

from mainproj.cache import cache_at
from monitor.http import throttles
from monitor.http.throttles import count_start
from parent.models import Run

MakeRun = Callable[..., Run]
RATE = 3


@pytest.fixture
def rate(settings: Any, counted: None) -> None:
    settings.WORKFLOW_START_RATE = f"{RATE}/min"


@pytest.fixture
def signed_in(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def test_too_many_starts_are_refused_until_the_minute_is_over(
    signed_in: Client, rate: None
) -> None:
    answers = [signed_in.post("/workflows/noops/") for _ in range(RATE + 1)]

    assert [answer.status_code for answer in answers] == [202] * RATE + [429]
    assert answers[-1]["Content-Type"] == "application/problem+json"
    assert answers[-1]["Retry-After"] == "30"
    assert Run.objects.count() == RATE


def test_pages_and_retries_count_with_them(
    signed_in: Client, owner: User, make_run: MakeRun, rate: None
) -> None:
    run = make_run(owner, state="FAILURE")
    signed_in.post("/start/noops/")
    signed_in.post(f"/tasks/{run.pk}/retry/")
    signed_in.post(f"/runs/{run.pk}/retry/")

    refused = signed_in.post("/start/noops/", headers={"Accept": "text/html"})

    assert (refused.status_code, refused["Retry-After"]) == (429, "30")
    assert "Expected available in 30 seconds" in refused.content.decode()
    assert signed_in.post("/workflows/noops/").status_code == 429
    assert signed_in.post(f"/runs/{run.pk}/retry/").status_code == 429


def test_each_user_has_a_count_of_their_own_and_reading_is_free(
    signed_in: Client, other: User, rate: None
) -> None:
    for _ in range(RATE):
        signed_in.post("/workflows/noops/")

    assert signed_in.get("/tasks/").status_code == 200
    signed_in.force_login(other)
    assert signed_in.post("/workflows/noops/").status_code == 202


def test_the_next_window_begins_anew(
    signed_in: Client, rate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(RATE + 1):
        signed_in.post("/workflows/noops/")
    later = type("Clock", (), {"time": lambda: 1_200_000_060.0})
    monkeypatch.setattr(throttles, "time", later)

    assert signed_in.post("/workflows/noops/").status_code == 202


def test_processes_that_count_at_once_lose_nothing(
    owner: User, settings: Any, rate: None, broker_url: str, rf: RequestFactory
) -> None:
    settings.WORKFLOW_START_RATE = "100/min"
    settings.CACHES = {"default": cache_at(broker_url)}
    request = rf.post("/")
    request.user = owner

    def allowed(_: int) -> bool:
        try:
            count_start(request)  # each thread has a connection of its own, as a process has
        except Throttled:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(allowed, range(400))) == 100


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.parametrize("away", ["silent", "gone"])
def test_a_cache_that_is_away_refuses_nothing_and_holds_nobody(
    away: str,
    signed_in: Client,
    settings: Any,
    rate: None,
    silent_server: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = silent_server if away == "silent" else "redis+socket:///nowhere/redis.sock"
    settings.CACHES = {"default": cache_at(url)}
    begun = time.monotonic()

    answers = [signed_in.post("/workflows/noops/").status_code for _ in range(RATE + 1)]

    assert answers == [202] * (RATE + 1)
    assert time.monotonic() - begun < 8
    assert "starts are not counted" in caplog.text
    settings.CACHES = {"default": cache_at("memory://")}


@pytest.mark.parametrize(
    ("broker", "location"),
    [
        ("redis+socket:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("redis+socket:///run/redis.sock?virtual_host=2", "unix:///run/redis.sock?db=2"),
        ("redis://:secret@host:6379/1", "redis://:secret@host:6379/1"),
        ("rediss://host/0", "rediss://host/0"),
        ("amqp://host//", None),
    ],
)
def test_the_cache_is_on_a_redis_server(broker: str, location: str | None) -> None:
    assert cache_at(broker).get("LOCATION") == location
