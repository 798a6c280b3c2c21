"""The rows: what is not written here does not exist, whatever a message says.

A column that a later release adds may be null or has a `db_default`: the release before, which does
not know it, goes on writing while a deploy lasts.
"""

from parent.models.executor import Executor, WatchLease
from parent.models.run import Event, Run, RunState
from parent.models.step import Attempt, Step, StepState
from parent.models.tally import Tally

__all__ = [
    "Attempt",
    "Event",
    "Executor",
    "Run",
    "RunState",
    "Step",
    "StepState",
    "Tally",
    "WatchLease",
]
