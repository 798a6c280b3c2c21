"""Fifty pages that watch runs, beside two slots that are busy: how much they slow the runs."""

import http
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Self

from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from bench.environment import clear, held_slots, worker
from bench.figure import Figure, NotMeasured
from bench.flows.workflows import working
from bench.web import serving
from parent.models import Run, RunState
from tests.waiting import until

__all__ = ["figures"]

SLOTS, WATCHERS = 2, 50
OF_ENDED = 1000  # milliseconds until a page that shows an ended run goes on to the next
HOST, TIMEOUT = "127.0.0.1", 10.0


def figures(*, quick: bool) -> Iterator[Figure]:
    runs, rounds = (20, 1) if quick else (50, 4)
    owner = User.objects.create_user("watcher")
    token = str(Token.objects.get_or_create(user=owner)[0])
    seconds: dict[int, list[float]] = {0: [], WATCHERS: []}
    polls = 0
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            worker("prefork", SLOTS),
            serving(Path(folder)) as (_pid, port),
        ):
            for _ in range(rounds):
                for watchers in (0, WATCHERS, WATCHERS, 0):
                    taken, asked = taken_by(runs, owner, token, port, watchers)
                    seconds[watchers].append(taken)
                    polls += asked
    finally:
        clear()
        owner.delete()
    alone, watched = (median(seconds[watchers]) for watchers in (0, WATCHERS))
    rate = polls / sum(seconds[WATCHERS])
    yield Figure(
        name=f"runs beside {WATCHERS} pages that watch",
        ours=f"{runs / watched:.1f} runs/s, {rate:.0f} polls/s",
        other=f"{runs / alone:.1f} runs/s unwatched, {SLOTS} busy slots",
        value=alone / watched,
        at_least=0.9,
    )


def taken_by(runs: int, owner: User, token: str, port: int, watchers: int) -> tuple[float, int]:
    """The seconds in which so many runs end, and the number of polls meanwhile."""
    clear()
    with ExitStack() as stack:
        with held_slots(SLOTS):
            ids = [str(working.start(owner=owner).pk) for _ in range(runs)]
            pages = [
                stack.enter_context(Watcher(port, token, ids[number % runs :] + ids))
                for number in range(watchers)
            ]
        began = time.monotonic()
        until("the end of all", lambda: ended() == runs, timeout=120)
        taken = time.monotonic() - began
    if bad := [page.bad for page in pages if page.bad]:
        raise NotMeasured(f"a poll failed: {bad[0]}")
    return taken, sum(page.polls for page in pages)


def ended() -> int:
    return Run.objects.filter(state=RunState.SUCCESS).count()


class Watcher(threading.Thread):
    """A context that polls one run after another, each until its end, as a page does: with the
    `ETag` of the last answer, on one connection, and as often as the answer says.
    """

    def __init__(self, port: int, token: str, runs: Sequence[str]) -> None:
        super().__init__(name="watcher", daemon=True)
        self.polls = 0
        self.bad = ""
        self._connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
        self._headers = {"Authorization": f"Token {token}"}
        self._runs = runs
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            for run in self._runs:
                self._watch(f"/tasks/{run}/")
        except (OSError, http.client.HTTPException, ValueError) as exc:
            self.bad = repr(exc)

    def _watch(self, path: str) -> None:
        tag, pause, left = "", 0, True
        while left and not self._stopping.is_set():
            answer, body = self._get(path, self._headers | {"If-None-Match": tag})
            self.polls += 1
            if answer.status == http.HTTPStatus.OK:
                tag, told = answer.headers["ETag"], json.loads(body)["poll_after_ms"]
                left, pause = told is not None, told or pause or OF_ENDED
            elif answer.status != http.HTTPStatus.NOT_MODIFIED:
                raise ValueError(f"{path}: {answer.status}")
            self._stopping.wait(pause / 1000)

    def _get(self, path: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            self._connection.request("GET", path, headers=headers)
            answer = self._connection.getresponse()
        except (ConnectionError, http.client.HTTPException):
            # The server closes connections that are idle; a browser opens a new one.
            self._connection.close()
            self._connection.request("GET", path, headers=headers)
            answer = self._connection.getresponse()
        return answer, answer.read()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()
        self._connection.close()
