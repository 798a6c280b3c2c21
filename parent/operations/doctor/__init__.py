"""What is wrong with the whole installation, and what to do about it.

Each look takes a part and yields findings. They read, and change nothing.
"""

from collections.abc import Iterator

from parent.operations.doctor import fleet, runs, surroundings
from parent.operations.doctor.finding import Finding

__all__ = ["Finding", "examine"]

LOOKS = (
    *(fleet.workers, fleet.queues, fleet.answers, fleet.watch, fleet.clocks),
    *(runs.stuck, runs.left_over, runs.files),
)


def examine() -> Iterator[Finding]:
    """All that is wrong. Where the database is away, or not migrated, nothing more is known."""
    yield from surroundings.project()
    yield from surroundings.broker()
    if found := list(surroundings.database()):
        yield from found
        return
    for look in LOOKS:
        yield from look()
