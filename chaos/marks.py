"""What the bodies did, by their own word: lines in a file, which outlives broker and database."""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["Mark", "What", "read", "write"]


class What(StrEnum):
    """What a body has done."""

    BEGINS = "begins"
    GOES_ON = "goes on"
    FAILS = "fails"
    ENDS = "ends"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One line. `at` is in seconds of the machine's monotonic clock, which all processes share.

    `worker` is the pid of the worker's main process; `given` the results that it was given.
    """

    run: str
    step: str
    attempt: str
    worker: int
    what: What
    at: float
    given: Mapping[str, str] | None = None


def write(
    run: str,
    step: str,
    attempt: str,
    worker: int,
    what: What,
    given: Mapping[str, str] | None = None,
) -> None:
    """Append one mark to the file that the environment names."""
    line = json.dumps([run, step, attempt, worker, what, time.monotonic(), given]) + "\n"
    file = os.open(os.environ["CHAOS_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # In one write: of two processes that append, neither cuts into the other's line.
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(path: Path) -> Iterable[Mark]:
    """All marks, in the order of their writing."""
    with path.open() as lines:
        for line in lines:
            run, step, attempt, worker, what, at, given = json.loads(line)
            yield Mark(
                run=run,
                step=step,
                attempt=attempt,
                worker=worker,
                what=What(what),
                at=at,
                given=given,
            )
