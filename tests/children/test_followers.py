"""Children that follow one another in the process of one message."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app, current_task, signals
from celery.app.trace import build_tracer
from celery.exceptions import Ignore

from children import Progress, child_task, host
from children.worker import followers
from children.worker.events import outbox
from tests.children.conftest import Attempt, MemoryHost

pytestmark = pytest.mark.django_db(
    transaction=True
)  # Celery cleans up its result backend after each task

SIGNALS = ("task_prerun", "task_success", "task_failure", "task_postrun")


class FollowedHost(MemoryHost):
    """Notes the deliveries. The attempt is in a header that others may read."""

    def __init__(self) -> None:
        super().__init__()
        self.deliveries: list[host.Delivery | None] = []

    def claim(
        self, task_id: str, header: Any, *, inline: bool, delivery: host.Delivery | None = None
    ) -> host.Attempt | None:
        self.deliveries.append(delivery)
        return super().claim(task_id, header["of"], inline=inline)


@pytest.fixture(autouse=True)
def followed_host(monkeypatch: pytest.MonkeyPatch) -> FollowedHost:
    followed_host = FollowedHost()
    monkeypatch.setattr(host, "_host", followed_host)
    return followed_host


def traced(task: Any) -> Any:
    """The task as in a worker."""
    task.__trace__ = build_tracer(task.name, task, app=current_app)
    return task


def request_of(task: Any, attempt: Attempt, *, events: bool = False) -> dict[str, Any]:
    """The request that a worker's main process gives to its pool."""
    attempt.name = task.name
    message = current_app.amqp.as_task_v2(str(uuid4()), task.name)
    terms = {"excluded": [], "events": events}
    delivery = {"routing_key": "celery", "redelivered": True}
    return {
        **message.headers,
        host.HEADER: {"of": attempt},
        followers.TERMS: terms,
        "hostname": "here",
        "delivery_info": delivery,
        "args": [],
        "kwargs": {},
    }


def follower(task: Any, attempt: Attempt, **kwargs: Any) -> host.Follower:
    attempt.name = task.name
    return host.Follower(
        task=task,
        task_id=str(uuid4()),
        kwargs=kwargs,
        headers={host.HEADER: {"of": attempt}},
        begin=lambda: attempt,
    )


@pytest.fixture
def sent() -> Iterator[list[tuple[str, str]]]:
    """The signals of Celery that were sent, each with the task's id."""
    sent: list[tuple[str, str]] = []

    def receiver(name: str) -> Callable[..., None]:
        def receive(sender: Any, task_id: str = "", **_: Any) -> None:
            sent.append((name, task_id or sender.request.id))

        return receive

    receivers = [(getattr(signals, name), receiver(name)) for name in SIGNALS]
    for signal, receive in receivers:
        signal.connect(receive, weak=False)
    yield sent
    for signal, receive in receivers:
        signal.disconnect(receive)


@pytest.fixture
def echo() -> Any:
    """A child that returns what it knows of its request."""

    @child_task(name="test.echo")
    def echo(progress: Progress, text: str = "") -> list[Any]:
        request: Any = current_task.request
        about = [request.id, request.hostname, request.delivery_info, request.kwargs]
        return [text, *about]

    return traced(echo)


def test_a_follower_runs_under_a_request_of_its_own(echo: Any, sent: list[tuple[str, str]]) -> None:
    first, second = Attempt(), Attempt()
    first.follower = follower(echo, second, text="two")
    request = request_of(echo, first)

    outcome = echo.__trace__(request["id"], [], {}, request)

    assert outcome.info is None
    assert outcome.retval == first.outcome.as_dict()
    delivery = {"routing_key": "celery", "redelivered": False}
    about = [first.follower.task_id, "here", delivery, {"text": "two"}]
    assert second.outcome.result == ["two", *about]
    names = ("task_prerun", "task_success", "task_postrun")
    assert sent == [(name, id) for id in (request["id"], first.follower.task_id) for name in names]


def test_very_many_follow_in_a_loop(echo: Any, followed_host: FollowedHost) -> None:
    attempts = [Attempt() for _ in range(2_000)]
    for attempt, after in pairwise(attempts):
        attempt.follower = follower(echo, after)

    request = request_of(echo, attempts[0])
    before, began = followers._time.seconds(), time.monotonic()
    echo.__trace__(request["id"], [], {}, request)
    took = time.monotonic() - began

    assert all(attempt.ended for attempt in attempts)
    [delivery] = followed_host.deliveries
    assert delivery is not None
    # The time of all but the first is counted, and none after the last.
    counted = delivery.follower_seconds()
    assert 0.5 * took < counted - before < took
    assert delivery.follower_seconds() == counted


def test_a_follower_that_fails_leaves_the_outcome_of_the_message(
    sent: list[tuple[str, str]], echo: Any
) -> None:
    @child_task(name="test.breaks")
    def breaks(progress: Progress) -> None:
        raise ValueError("broken")

    first, second = Attempt(), Attempt()
    first.follower = follower(traced(breaks), second)
    request = request_of(echo, first)

    outcome = echo.__trace__(request["id"], [], {}, request)

    assert outcome.info is None
    assert second.outcome.error == "Error in test.breaks: broken"
    assert ("task_failure", first.follower.task_id) in sent


@pytest.fixture
def fails() -> Any:
    @child_task(name="test.fails")
    def fails(progress: Progress) -> None:
        raise ValueError("broken")

    return traced(fails)


@pytest.fixture
def ignores() -> Any:
    @child_task(name="test.ignores")
    def ignores(progress: Progress) -> None:
        raise Ignore

    return traced(ignores)


@pytest.mark.parametrize("ends", ["fails", "ignores"])
def test_what_follows_a_child_that_fails_is_run(
    request: pytest.FixtureRequest, echo: Any, ends: str
) -> None:
    task = request.getfixturevalue(ends)
    first, second, third = Attempt(), Attempt(), Attempt()
    first.follower = follower(task, second)
    second.follower = follower(echo, third, text="three")
    message = request_of(task, first)

    outcome = task.__trace__(message["id"], [], {}, message)

    assert outcome.info is not None
    assert outcome.info.state == "FAILURE"
    assert (first.outcome.status, second.outcome.status) == ("ERROR", "ERROR")
    assert third.outcome.result[0] == "three"


def test_what_follows_a_child_that_did_not_reach_its_body_is_run(echo: Any, fails: Any) -> None:
    first, second, third = Attempt(), Attempt(), Attempt()
    first.follower = follower(fails, second)
    second.follower = follower(echo, third)

    def trace(*_: Any) -> Any:
        raise RuntimeError("not traced")

    fails.__trace__ = trace
    message = request_of(echo, first)
    echo.__trace__(message["id"], [], {}, message)

    assert second.outcome.error == "Error in test.fails: it ended without an outcome"
    assert third.ended


def test_a_follower_that_does_not_reach_its_body_ends_with_an_error(echo: Any) -> None:
    first, second = Attempt(), Attempt()

    @child_task(name="test.unreachable")
    def unreachable(progress: Progress) -> None:
        """Nothing."""

    broken = traced(unreachable)
    first.follower = follower(broken, second)

    def trace(*_: Any) -> Any:
        raise RuntimeError("not traced")

    broken.__trace__ = trace
    request = request_of(echo, first)

    assert echo.__trace__(request["id"], [], {}, request).info is None
    assert second.outcome.error == "Error in test.unreachable: it ended without an outcome"


def test_without_terms_the_host_learns_of_no_delivery(
    echo: Any, followed_host: FollowedHost
) -> None:
    request = request_of(echo, Attempt())
    echo.__trace__(request["id"], [], {}, request)
    other = request_of(echo, Attempt())
    del other[followers.TERMS]
    echo.__trace__(other["id"], [], {}, other)

    first, second = followed_host.deliveries
    assert first is not None
    assert (first.id, second) == (request["id"], None)
    assert followers.current() is None


def test_the_events_of_a_follower_are_those_of_a_message(
    echo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []

    class Dispatcher:
        def __init__(self, **_: Any) -> None: ...

        def __enter__(self) -> "Dispatcher":
            return self

        def __exit__(self, *_: object) -> None: ...

        def send(self, kind: str, *, uuid: str, **_: Any) -> None:
            sent.append((kind, uuid))

        def flush(self) -> None: ...

    monkeypatch.setattr(current_app.events, "default_dispatcher", Dispatcher)
    first = Attempt()
    first.follower = follower(echo, Attempt())
    request = request_of(echo, first, events=True)

    outcome = echo.__trace__(request["id"], [], {}, request)
    outbox.send()

    assert sent == [
        ("task-succeeded", request["id"]),
        ("task-received", first.follower.task_id),
        ("task-started", first.follower.task_id),
        ("task-succeeded", first.follower.task_id),
    ]
    # The main process does not send the first of these again.
    assert isinstance(outcome.retstr, followers.ReportedText)
