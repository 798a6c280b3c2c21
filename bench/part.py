"""One part of the bench: its figures, whatever becomes of it."""

import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.figure import Figure, NotTaken, Untaken

__all__ = ["figures_of"]


def figures_of(name: str, figures: Iterable[Figure | Untaken]) -> Iterator[Figure | Untaken]:
    """Those that could be taken; in the place of the others, why they could not."""
    try:
        yield from figures
    except NotTaken as exc:
        yield Untaken(name=name, reason=str(exc))
    except Exception as exc:  # a part that fails keeps no other from its figures
        yield Untaken(name=name, reason=_told(exc))


def _told(error: Exception) -> str:
    """The error in one line, with the place in the bench that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent.name == "bench"]
    at = (ours or frames)[-1]
    what = str(error) or "no more is known"
    return f"{type(error).__name__}: {what} ({Path(at.filename).name}:{at.lineno})"
