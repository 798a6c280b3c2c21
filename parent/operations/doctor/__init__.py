"""What is wrong with the whole installation, and what to do about it.

Each check examines one part and yields findings. Checks only read.
"""

from collections.abc import Iterator

from parent.operations.doctor import notifications, runs, schedules, services, workers
from parent.operations.doctor.finding import Finding

__all__ = ["Finding", "examine"]

CHECKS = (
    *(workers.workers, workers.queues, workers.answers, workers.watch, workers.clocks),
    *(runs.stuck, runs.nested, runs.in_line, runs.sizes, runs.awaiting, runs.left_over, runs.files),
    *(schedules.late, schedules.refused, schedules.off),
    notifications.notifications,
)


def examine() -> Iterator[Finding]:
    """Yield all findings. Without a migrated database the checks that need it are left out."""
    yield from services.project()
    yield from services.broker()
    if found := list(services.database()):
        yield from found
        return
    for check in CHECKS:
        yield from check()
