"""What a tick does about schedules. With none due that is one statement."""

import time
from datetime import datetime, timedelta

from celery.utils.log import get_logger
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from parent.definition.workflow import registry
from parent.models import Firing, FiringState, Schedule
from parent.schedules.fire import Fired, fire
from parent.schedules.rows import due_ids
from parent.schedules.sync import sync
from parent.store.locks import is_locked
from parent.store.outage import OUTAGE
from parent.telemetry.metrics import metrics

__all__ = ["fire_due", "prune_firings", "try_sync"]

logger = get_logger(__name__)

BATCH = 300
BUDGET = 0.3
"""Seconds of a tick; what is left stays due. At least one schedule has its turn."""
AFTER_ERROR = timedelta(seconds=60)


def fire_due(now: datetime | None = None) -> None:
    """Start what is due, the longest due first."""
    until = time.monotonic() + BUDGET
    for pk in due_ids(registry.names(), at_most=BATCH, now=now):
        try:
            fired = fire(pk, now)
        except OUTAGE as exc:
            if is_locked(exc):
                logger.info("schedule %s is locked by another transaction; a later tick has it", pk)
            elif connection.is_usable():  # then it is a statement of the author's
                _postpone(pk)
            else:
                raise
        except Exception:
            _postpone(pk)
        else:
            _count(fired)
        if time.monotonic() >= until:
            return


def _postpone(pk: int) -> None:
    """After an error: let others have their turn, and try this one again later."""
    logger.exception("schedule %s could not be looked at, and is tried again", pk)
    problem = "It could not be looked at: see the log of the worker that watches."
    Schedule.objects.filter(pk=pk).update(due_at=Now() + AFTER_ERROR, problem=problem)


def _count(fired: list[Fired]) -> None:
    for each in fired:
        labels = (each.schedule.workflow, each.schedule.name)
        if each.state == FiringState.STARTED:
            metrics.count("workflow_schedule_fired", *labels)
        elif each.state == FiringState.REFUSED:
            metrics.count("workflow_schedule_skipped", *labels, "refused")
        elif each.state == FiringState.SKIPPED:
            metrics.count("workflow_schedule_skipped", *labels, each.reason, by=each.count)
        if each.late is not None:
            metrics.observe("workflow_schedule_late_seconds", each.late, *labels)


def try_sync() -> None:
    """Bring the rows up to the code; an error of ours costs nobody the rest of the tick."""
    try:
        sync()
    except OUTAGE:
        raise
    except Exception:
        logger.exception("the schedules could not be brought up to the code")


def prune_firings(older_than: timedelta, *, at_most: int) -> int:
    """Delete old rows of times whose run is deleted, or that had none; returns how many."""
    old = Firing.objects.filter(~Q(state=FiringState.WAITING), at__lt=Now() - older_than, run=None)
    ids = list(old.order_by("at").values_list("pk", flat=True)[:at_most])
    return Firing.objects.filter(pk__in=ids).delete()[0] if ids else 0
