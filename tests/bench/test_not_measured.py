"""A figure that cannot be measured takes one line, and the others are still measured."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.figure import Figure, NotMeasured, Unmeasured, percentile
from bench.load import Load, Target
from bench.part import figures_of
from bench.polling import EMPTY, TAGGED, problem, ratio
from bench.web import serving

GOOD = Figure(name="one", ours="1", other="1", value=1)


def breaks(error: Exception | None) -> Iterator[Figure | Unmeasured]:
    yield GOOD
    if error:
        raise error
    yield GOOD


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotMeasured("no slot was held"), "no slot was held"),
        (AssertionError("not within 30 s:\nthe end"), "AssertionError: not within 30 s: the end"),
        (AssertionError(), "AssertionError: no more is known"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (OSError("no Redis"), "OSError: no Redis"),
    ],
)
def test_a_part_that_breaks_off_keeps_its_figures_and_says_why(error: Exception, told: str) -> None:
    first, last = figures_of("part", breaks(error))

    assert first is GOOD
    assert (first.ok, last.ok) == (True, False)
    assert str(last).startswith(f"  part{' ' * 31}NOT MEASURED: {told}")
    assert "\n" not in str(last)


def test_a_part_that_does_not_is_as_it_is() -> None:
    assert list(figures_of("part", breaks(None))) == [GOOD, GOOD]


def test_an_interrupt_is_no_figure() -> None:
    def interrupted() -> Iterator[Figure]:
        yield GOOD
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(figures_of("part", interrupted()))


def test_of_nothing_there_is_no_percentile() -> None:
    with pytest.raises(NotMeasured):
        percentile([], 99)


@pytest.mark.parametrize(
    ("side", "statuses", "failures", "told"),
    [
        (EMPTY, {200: 10}, [], None),
        (TAGGED, {200: 1, 304: 99}, [], None),
        (TAGGED, {304: 99}, [], None),
        (TAGGED, {200: 52, 304: 262}, [], "only 262 of 314 answers were 304"),
        (TAGGED, {200: 52}, [], "only 0 of 52 answers were 304"),
        (EMPTY, {200: 10, 304: 1}, [], "the answers had the statuses {200: 10, 304: 1}"),
        (TAGGED, {304: 10, 500: 1}, [], "the answers had the statuses {304: 10, 500: 1}"),
        (EMPTY, {}, [], "the answers had the statuses {}"),
        (EMPTY, {200: 10}, ["refused", "refused"], "2 clients broke off: refused"),
    ],
)
def test_polls_that_are_not_what_was_meant_are_no_figure(
    side: str, statuses: dict[int, int], failures: list[str], told: str | None
) -> None:
    load = Load(0, "", statuses=statuses, failures=failures, latencies=[0.1], seconds=1)
    other = Load(0, "", statuses={200: 10}, latencies=[0.1], seconds=1)

    assert problem(side, load) == (told and f"{side}: {told}")
    figure = ratio(side, "other", {side: load, "other": other})
    assert isinstance(figure, Unmeasured) == (told is not None)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port where each connection gets this answer, once."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(request.param)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


HEAD = b"HTTP/1.1 304 Not Modified\r\n"


@pytest.mark.parametrize(
    ("server", "failures"),
    [
        (b"", ["the server closed the connection"]),
        (b"HTTP/1.1 no\r\n\r\n", ["invalid literal for int"]),
        (HEAD + b"\r\n", ["the server closed the connection|reset"]),
        (HEAD + b"Connection: close\r\n\r\n", []),
    ],
    indirect=["server"],
)
def test_a_client_that_breaks_off_says_why_and_floods_nothing(
    server: int, failures: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    load = Load(server, "")

    load.run([Target(f"/{number}") for number in range(5)], clients=1, seconds=0, each=True)

    assert len(load.failures) == len(failures)
    assert all(map(re.search, failures, load.failures))
    assert sum(load.statuses.values()) == (5 if not failures else len(load.latencies))
    assert capfd.readouterr() == ("", "")


def test_nobody_there_is_told_as_well() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        load = Load(taken.getsockname()[1], "")
        load.run([Target("/")], clients=2, seconds=0)

    assert len(load.failures) == 2
    assert "refused" in load.failures[0]


@pytest.mark.django_db(transaction=True)
def test_the_web_process_floods_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite://:memory:")
    with serving(tmp_path) as (_, port):
        load = Load(port, "")
        load.run([Target("/healthz")], clients=1, seconds=0.1)

    assert set(load.statuses) == {200}
    assert capfd.readouterr() == ("", "")
    assert "/healthz" in (tmp_path / "web.log").read_text()
