"""The models. Rows decide, not messages: a message without its row changes nothing.

A column that a later release adds is nullable or has a `db_default`: during a deploy the release
before, which does not know the column, still inserts rows.
"""

from parent.models.executor import Executor, WatchLease
from parent.models.item import Item, ItemCount
from parent.models.log import LogChunk
from parent.models.notification import (
    Delivery,
    DeliveryState,
    NotificationKind,
    NotificationRule,
    StoppedWebhook,
)
from parent.models.place import LimitSize, Place
from parent.models.run import Event, Run, RunState
from parent.models.schedule import (
    CatchUp,
    Firing,
    FiringState,
    Overlap,
    Schedule,
    SkipReason,
)
from parent.models.signal import ReceivedSignal
from parent.models.step import IS_ACTIVE, Attempt, Awaits, Step, StepState, When
from parent.models.tally import Tally

__all__ = [
    "IS_ACTIVE",
    "Attempt",
    "Awaits",
    "CatchUp",
    "Delivery",
    "DeliveryState",
    "Event",
    "Executor",
    "Firing",
    "FiringState",
    "Item",
    "ItemCount",
    "LimitSize",
    "LogChunk",
    "NotificationKind",
    "NotificationRule",
    "Overlap",
    "Place",
    "ReceivedSignal",
    "Run",
    "RunState",
    "Schedule",
    "SkipReason",
    "Step",
    "StepState",
    "StoppedWebhook",
    "Tally",
    "WatchLease",
    "When",
]
