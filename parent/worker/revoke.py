"""Celery's `revoke` of a run, or of a child of a run, cancels the run.

Every worker receives a revoke, whether it runs the task or not; the first one records the cancel.
Other tasks are passed on to Celery's own command.
"""

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from celery.utils.log import get_logger
from celery.worker import control
from django.db import connections

from parent.errors import RunEnded, UnknownRun
from parent.models import IS_ACTIVE, Attempt, Item, Run, Step, StepState
from parent.runs.cancel import cancel
from parent.store.outage import retry_while_database_is_down
from parent.telemetry.log_context import about
from parent.worker.forks import revoke_lock

__all__ = ["revoke_runs"]

logger = get_logger(__name__)

SIGNATURE = "[id1 [id2 [... [idN]]]]"
celerys_own: Any = control.revoke  # type: ignore[attr-defined]  # missing in celery-types


@control.control_command(name="revoke", variadic="task_id", signature=SIGNATURE)
def _revoke(
    state: Any,
    task_id: str | list[str],
    terminate: bool = False,
    signal: str | None = None,
    **others: Any,
) -> dict[str, str]:
    """Revoke tasks by their ids; those of runs and of their children cancel the run."""
    ids = {task_id} if isinstance(task_id, str) else set(task_id or ())
    # This runs on the worker's event loop, where SQL would block consuming.
    work = partial(_revoke_in_thread, ids, terminate, partial(celerys_own, state), signal, others)
    threading.Thread(target=work, name="revoke", daemon=True).start()
    return {"ok": f"tasks {', '.join(sorted(ids))} are revoked; of runs, the run is cancelled"}


@control.control_command(
    name="terminate", args=[("signal", str)], signature=f"<signal> {SIGNATURE}"
)
def _terminate(state: Any, signal: str, task_id: str | list[str], **others: Any) -> dict[str, str]:
    """Terminate tasks by their ids; those of runs and of their children cancel the run at once."""
    answer: dict[str, str] = _revoke(state, task_id, terminate=True, signal=signal, **others)
    return answer


def _revoke_in_thread(
    ids: set[str], terminate: bool, celerys: Any, signal: str | None, others: Mapping[str, Any]
) -> None:
    try:
        rest = retry_while_database_is_down("revoke", partial(revoke_runs, ids, at_once=terminate))
    except Exception:
        logger.exception("the revoke of %s failed", ", ".join(sorted(ids)))
        return
    finally:
        connections.close_all()
    if rest:
        celerys(list(rest), terminate, signal, **others)


def revoke_runs(ids: Iterable[str], *, at_once: bool = False) -> set[str]:
    """Cancel the runs with these ids, and the runs of active children with these ids.

    Args:
        at_once: give children no time to end by themselves.

    Returns:
        The ids that are of no run and no attempt.
    """
    with revoke_lock:  # no fork meanwhile: see `parent.worker.forks`
        runs = _runs_of(set(ids))
        for run_id in {run_id for run_id in runs.values() if run_id is not None}:
            try:
                run = cancel(run_id, grace=0.0 if at_once else None)
            except (RunEnded, UnknownRun) as exc:
                logger.info("a revoke of %s cancels nothing: %s", run_id, exc)
            else:
                with about(run):
                    logger.info("run %s is cancelled by a revoke", run_id)
    return set(ids) - runs.keys()


def _runs_of(ids: set[str]) -> dict[str, UUID | None]:
    """Those of `ids` that the rows know, with the run to cancel; None where a child has ended."""
    found: dict[str, UUID | None] = dict.fromkeys(
        Attempt.objects.filter(task_id__in=ids).values_list("task_id", flat=True)
    )
    for step in Step.objects.filter(task_id__in=ids).only("task_id", "run_id", "state"):
        found[str(step.task_id)] = step.run_id if step.state in Step.ACTIVE else None
    # The message of a child that has ended may run one of those that followed.
    running = Step.objects.filter(IS_ACTIVE, state=StepState.RUNNING, message_id__in=ids)
    found |= {str(step.message_id): step.run_id for step in running.only("message_id", "run_id")}
    items = Item.objects.select_related("step")
    for item in items.filter(task_id__in=ids):
        found[str(item.task_id)] = item.run_id if item.state in Item.ACTIVE else None
    carried = items.filter(IS_ACTIVE, state=StepState.RUNNING, message_id__in=ids)
    found |= {str(item.message_id): item.run_id for item in carried}
    by_uuid = {uuid: text for text in ids if (uuid := _uuid(text)) is not None}
    for run_id in Run.objects.filter(pk__in=by_uuid).values_list("pk", flat=True):
        found[by_uuid[run_id]] = run_id
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
