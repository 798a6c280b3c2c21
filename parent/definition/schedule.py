"""What an author declares of when a workflow starts by itself: `Schedule`."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

__all__ = ["DEFAULT_NAME", "Schedule"]

DEFAULT_NAME = "default"


@dataclass(frozen=True)
class Schedule:
    """When a workflow starts by itself. Its runs have no owner.

    Args:
        cron: five fields, minute hour day month weekday, as cronsim reads them. Or give `every`.
        every: seconds from one start to the next, counted from 1970-01-01 00:00 UTC.
        name: unique in the workflow. What staff edit belongs to this name, so keep it.
        timezone: the IANA name of the zone in which `cron` is read.
        params: the run's parameters, as a start takes them.
        overlap: what happens when an earlier run of this schedule has not ended: the new one is
            left out ("skip"), waits for its end ("queue"), cancels it and then starts
            ("cancel_running"), or starts beside it ("allow").
        catch_up: which starts follow after a time without any watch: none that is later than
            `WORKFLOW_SCHEDULE_GRACE` ("none"), only the last ("latest"), or all that are not
            older than `window` ("all").
        window: seconds; for `catch_up="all"`.
        jitter: each start is up to so many seconds later, but not later than the next time.
    """

    cron: str = ""
    _: KW_ONLY
    every: int | None = None
    name: str = DEFAULT_NAME
    timezone: str = "UTC"
    params: Mapping[str, Any] = field(default_factory=dict)
    overlap: Literal["skip", "queue", "cancel_running", "allow"] = "skip"
    catch_up: Literal["none", "latest", "all"] = "none"
    window: int = 86_400
    jitter: int = 0
