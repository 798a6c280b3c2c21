"""One part of the bench, whose errors do not stop the others."""

import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.figure import Figure, NotMeasured, Skipped, Unmeasured

__all__ = ["figures_of"]

Line = Figure | Skipped | Unmeasured


def figures_of(name: str, figures: Iterable[Line]) -> Iterator[Line]:
    """The figures of a part; for those that could not be measured, the reason."""
    try:
        yield from figures
    except NotMeasured as exc:
        yield Unmeasured(name=name, reason=str(exc))
    except Exception as exc:  # a part that fails must not stop the others
        yield Unmeasured(name=name, reason=_told(exc))


def _told(error: Exception) -> str:
    """The error in one line, with the line of the bench that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent.name == "bench"]
    at = (ours or frames)[-1]
    what = str(error) or "no more is known"
    return f"{type(error).__name__}: {what} ({Path(at.filename).name}:{at.lineno})"
