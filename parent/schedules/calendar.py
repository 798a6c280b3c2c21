"""The nominal times of a schedule, and when each of them starts: pure functions of time."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

__all__ = ["NoTimes", "Occurrence", "Timing", "nominal_times", "occurrences"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NoTimes(ValueError):
    """`validation` would not accept the timing: this machine lacks the time zone, or somebody wrote
    the row by hand. The message is for people.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When a schedule comes. `cron` is in `timezone`; without it `every` is in seconds.

    `key` makes the jitter of each schedule its own; the same key gives the same jitter.
    """

    cron: str = ""
    every: int | None = None
    timezone: str = "UTC"
    jitter: int = 0
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """One time of a schedule: the nominal one, and when its run starts, which the jitter moves."""

    nominal: datetime
    start: datetime


def nominal_times(timing: Timing, after: datetime) -> Iterator[datetime]:
    """The nominal times later than `after`, in UTC, each later than the one before.

    Raises:
        NoTimes: nobody can compute them.
    """
    return _by_cron(timing, after) if timing.cron else _by_seconds(timing.every or 1, after)


def occurrences(timing: Timing, after: datetime) -> Iterator[Occurrence]:
    """The nominal times later than `after`, with their starts.

    No start is later than the next nominal time, so that they keep their order.
    """
    times = nominal_times(timing, after)
    if not timing.jitter:
        yield from (Occurrence(nominal=time, start=time) for time in times)
        return
    # The last time of all would be left out, and there is none: a cron line has no year.
    for time, following in pairwise(times):
        most = min(float(timing.jitter), (following - time).total_seconds())
        yield _jittered(timing, time, most)


def _jittered(timing: Timing, nominal: datetime, most: float) -> Occurrence:
    # A digest, so that each process moves it by the same.
    digest = hashlib.sha256(f"{timing.key} {nominal.isoformat()}".encode()).digest()
    share = int.from_bytes(digest[:6]) / 2**48
    return Occurrence(nominal=nominal, start=nominal + timedelta(seconds=share * most))


def _by_seconds(every: int, after: datetime) -> Iterator[datetime]:
    gap = timedelta(seconds=every)
    time = EPOCH + ((after - EPOCH) // gap + 1) * gap
    while True:
        yield time
        time += gap


def _by_cron(timing: Timing, after: datetime) -> Iterator[datetime]:
    last = after
    try:
        times = CronSim(timing.cron, after.astimezone(ZoneInfo(timing.timezone)))
    # What `validation` expects of cronsim and of the files of zones.
    except (CronSimError, AssertionError, KeyError, ValueError, TypeError, OSError) as exc:
        raise NoTimes(
            f"Its times cannot be computed: {timing.cron!r} cannot be read, or there is no time "
            f"zone {timing.timezone!r} here."
        ) from exc
    for local in times:
        time = local.astimezone(UTC)
        # Where clocks change cronsim may name a time twice, and in the hour that comes twice one
        # that is before `after`.
        if time > last:
            yield time
            last = time
