"""What is wrong with the whole installation, and what to do about it.

Each check examines one part and yields findings. Checks only read.
"""

from collections.abc import Iterator

from parent.operations.doctor import fleet, notifications, runs, schedules, surroundings
from parent.operations.doctor.finding import Finding

__all__ = ["Finding", "examine"]

CHECKS = (
    *(fleet.workers, fleet.queues, fleet.answers, fleet.watch, fleet.clocks),
    *(runs.stuck, runs.nested, runs.in_line, runs.sizes, runs.awaiting, runs.left_over, runs.files),
    *(schedules.late, schedules.refused, schedules.off),
    notifications.notifications,
)


def examine() -> Iterator[Finding]:
    """Yield all findings. Without a migrated database the checks that need it are left out."""
    yield from surroundings.project()
    yield from surroundings.broker()
    if found := list(surroundings.database()):
        yield from found
        return
    for check in CHECKS:
        yield from check()
