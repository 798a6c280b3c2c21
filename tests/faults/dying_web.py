"""The web service, which dies once where a signal is taken, or waits there for the test.

`AT` names the place: "before the insert", "before the commit", "after the commit" or "before the
answer". `FOLDER` is one of the test: a file `armed` there makes the next signal meet the place.
Without `WAITS` the process kills itself there; with it, it makes a file `reached` and waits for the
file `go`.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from mainproj.wsgi import application as service

__all__ = ["application"]

FOLDER = Path(os.environ["FOLDER"])


def meet(place: str) -> None:
    if place != os.environ["AT"]:
        return
    try:
        (FOLDER / "armed").unlink()  # for one process only
    except FileNotFoundError:
        return
    if not os.environ.get("WAITS"):
        os.kill(os.getpid(), signal.SIGKILL)
    (FOLDER / "reached").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.02)


class Watched:
    """Sees the statements of a request that takes a signal."""

    def __init__(self) -> None:
        self.has_signal = False

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if sql.startswith("INSERT INTO parent_receivedsignal"):
            meet("before the insert")
            self.has_signal = True
        return execute(sql, params, many, context)


real_commit = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
"""Django has no hook for this moment."""


def commit(self: Any) -> None:
    takes = any(isinstance(each, Watched) and each.has_signal for each in self.execute_wrappers)
    if takes:
        meet("before the commit")
    real_commit(self)
    if takes:
        meet("after the commit")


BaseDatabaseWrapper._commit = commit  # type: ignore[attr-defined]


def application(environ: Any, start_response: Any) -> Any:
    from django.db import connection

    with connection.execute_wrapper(Watched()):
        answer = service(environ, start_response)
    if "/signals/" in environ["PATH_INFO"]:
        meet("before the answer")
    return answer
