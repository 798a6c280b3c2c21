"""A flood of log lines whose first and last ones are kept, beside the same without that."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time

from bench.figure import Figure
from children.reporting.log_buffer import LogBuffer
from children.reporting.log_capture import captured_log
from parent.conf import LIMITS

__all__ = ["figures"]

LINES = 30_000
ROUNDS = 10


def figures(*, quick: bool) -> Iterator[Figure]:  # noqa: ARG001 - fewer rounds say nothing
    kept, written = [], []
    # By turns, and the best of each, so that other load on the machine affects both.
    with stderr_in_a_file():
        for _ in range(ROUNDS):
            written.append(seconds(None))
            kept.append(seconds(buffer()))
    yield Figure(
        name=f"a log of {LINES:,} lines, kept",
        ours=f"{min(kept) / LINES * 1e6:.1f} us a line",
        other=f"only written {min(written) / LINES * 1e6:.1f} us",
        value=min(kept) / min(written),
        at_most=1.1,
    )


@contextmanager
def stderr_in_a_file() -> Iterator[None]:
    """Where the log goes, whose 600,000 lines nobody wants to see."""
    error, shown = sys.stderr.fileno(), os.dup(sys.stderr.fileno())
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), error)
        try:
            yield
        finally:
            os.dup2(shown, error)
            os.close(shown)


def buffer() -> LogBuffer:
    lines, size = LIMITS["WORKFLOW_LOG_LINES"], LIMITS["WORKFLOW_LOG_BYTES"]
    return LogBuffer(most_lines=int(lines or 0), most_bytes=int(size or 0))


def seconds(kept_in: LogBuffer | None) -> float:
    """The processor time of logging all lines, as the project's own log is written."""
    shop, began = logging.getLogger("shop"), process_time()
    with captured_log(kept_in):
        for number in range(LINES):
            shop.info("line %d of a long log, as long as such lines usually are", number)
    return process_time() - began
