"""What the bodies did, as they say: lines in a file, which outlives broker and database."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["BodyEvent", "EventKind", "Inputs", "read", "write"]

Inputs = Mapping[str, str | Sequence[str]]


class EventKind(StrEnum):
    """What a body has done."""

    STARTED = "started"
    RUNNING = "running"
    FAILED = "failed"
    BROKEN = "broken"
    FINISHED = "finished"


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyEvent:
    """One line. `at` is in seconds of the machine's monotonic clock, which all processes share.

    `worker` is the pid of the worker's main process; `inputs` are the results that the body got: of
    a mapped step those of its items that are OK, in order.
    """

    run: str
    step: str
    attempt: str
    worker: int
    kind: EventKind
    at: float
    inputs: Inputs | None = None


def write(
    run: str,
    step: str,
    attempt: str,
    worker: int,
    kind: EventKind,
    inputs: Inputs | None = None,
) -> None:
    """Append one event to the file that `CHAOS_EVENT_LOG` names."""
    line = json.dumps([run, step, attempt, worker, kind, time.monotonic(), inputs]) + "\n"
    file = os.open(os.environ["CHAOS_EVENT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # In one write: the lines of two processes that append at once do not mix.
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(path: Path) -> Iterable[BodyEvent]:
    """All events, in the order in which they were written."""
    with path.open() as lines:
        for line in lines:
            run, step, attempt, worker, kind, at, inputs = json.loads(line)
            yield BodyEvent(
                run=run,
                step=step,
                attempt=attempt,
                worker=worker,
                kind=EventKind(kind),
                at=at,
                inputs=inputs,
            )
