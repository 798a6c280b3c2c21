"""What follows a run on Celery's canvas: links, the rest of a chain, a chord's body.

Celery sends these when a task's body has returned. A parent's body returns when its run has begun.
So the start stores them with the run; and after the run's end the parent task's message is sent
once more, and its worker sends them. They are code of the authors, so it runs like any task, and
not within the engine.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app, states
from celery.app.task import Context
from celery.canvas import maybe_signature
from celery.exceptions import TaskRevokedError
from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps, loads

from children.sanitize import one_line
from parent.definition.parent_task import parent_task_name
from parent.errors import RunFailed, WorkflowError
from parent.messages.publish import RETRY, republish_after
from parent.models import Run, RunState
from parent.store import results
from parent.store.outage import OUTAGE
from parent.telemetry.log_context import about

__all__ = ["follow_up_of", "send_follow_up"]

logger = get_logger(__name__)

FOLLOWING = ("callbacks", "errbacks", "chain", "chord")
KEPT = (*FOLLOWING, "group", "group_index", "root_id", "parent_id", "replaced_task_nesting")
"""What is stored of a parent task's request."""

UNTAKEN_WITHIN = timedelta(seconds=60)
TAKEN_FOR = timedelta(seconds=120)
"""A worker that sends what follows a run first moves the run's `due_at` this far away. A due time
nearer than `UNTAKEN_WITHIN` means that no worker does it now. If the worker is killed, the run
becomes due, and a tick sends the parent's message again."""


def follow_up_of(request: Any) -> str | None:
    """What follows the task of this request, as JSON; None if nothing does.

    Raises:
        WorkflowError: an argument of a signature is not JSON.
    """
    if not any(getattr(request, name, None) for name in FOLLOWING):
        return None
    kept = {name: getattr(request, name, None) for name in KEPT}
    kept["priority"] = (request.delivery_info or {}).get("priority")
    try:
        return str(dumps(kept))
    except (TypeError, ValueError) as exc:
        raise WorkflowError(
            f"What follows the run has an argument that is not JSON ({exc}), and so cannot be kept "
            "until the run's end. Give its links and its chain JSON values."
        ) from exc


def send_follow_up(run_id: UUID) -> None:
    """Send what follows this run, if it has ended and nobody else sends it.

    If the broker does not answer, a tick has it tried again. Nothing else is raised than an error
    of the database: Celery would store it as the run's end.
    """
    waiting = Run.objects.filter(pk=run_id, follow_up__isnull=False, finished_at__isnull=False)
    free = waiting.filter(due_at__lte=Now() + UNTAKEN_WITHIN)
    if not free.update(due_at=Now() + TAKEN_FOR):
        return
    run = Run.objects.get(pk=run_id)
    with about(run):
        try:
            _send_all(run, waiting)
        except (OperationalError, OSError) as exc:
            waiting.update(due_at=Now() + republish_after(0))
            logger.warning("broker: %s; tasks linked to %s are sent when it answers", exc, run_id)
        except OUTAGE:
            raise
        except Exception:
            logger.exception("%s[%s]: its linked tasks could not be sent", run.workflow, run_id)


def _send_all(run: Run, waiting: "QuerySet[Run]") -> None:
    request = _request(run)
    with current_app.connection_for_write() as connection:
        connection.ensure_connection(**RETRY)  # type: ignore[arg-type]
    _send(run, request)
    with transaction.atomic():
        # In one transaction with Celery's count of the chord's parts: it counts this one once.
        if waiting.update(follow_up=None, due_at=None) and request.chord:
            state, value = _end_of(run)
            current_app.backend.on_chord_part_return(request, state, value)


def _request(run: Run) -> Any:
    kept = loads(run.follow_up or "{}")
    priority = kept.pop("priority")
    return Context(
        kept,
        id=str(run.pk),
        task=parent_task_name(run.workflow),
        args=(),
        kwargs=run.params,
        delivery_info={"priority": priority},
        called_directly=False,
    )


def _end_of(run: Run) -> tuple[str, Any]:
    """The state and the result or exception of the parent task."""
    if run.state == RunState.SUCCESS:
        return states.SUCCESS, run.result
    error = one_line(run.error or "")
    if run.state == RunState.REVOKED:
        return states.REVOKED, TaskRevokedError(error)
    return states.FAILURE, RunFailed(error)


def _send(run: Run, request: Any) -> None:
    """Send all but the part of a chord, as Celery does (celery 5.7, `celery.app.trace`)."""
    state, value = _end_of(run)
    if state == states.SUCCESS:
        _send_next(request, value)
        return
    # Celery stores the failure of the rest of the chain only together with that of this task, in
    # its own form. So `results.create` writes our row again.
    part = Context(request.__dict__, chord=None)
    errbacks = state == states.FAILURE  # of a revoked task Celery calls none
    backend: Any = current_app.backend
    backend.mark_as_failure(part.id, value, request=part, state=state, call_errbacks=errbacks)
    results.create(run, parent_task_name(run.workflow))


def _send_next(request: Any, value: Any) -> None:
    options: dict[str, Any] = {"parent_id": request.id, "root_id": request.root_id or request.id}
    if current_app.conf.task_inherit_parent_priority:
        options["priority"] = request.delivery_info["priority"]
    chain = request.chain or []
    following: list[tuple[Any, dict[str, Any]]] = [
        (signature, {}) for signature in request.callbacks or ()
    ]
    following += [(signature, {"chain": chain[:-1]}) for signature in chain[-1:]]
    for signature, rest in following:
        try:
            task: Any = maybe_signature(signature, app=current_app)
            task.apply_async((value,), **options, **rest)
        except (OperationalError, OSError):
            raise
        except Exception:
            # Nothing changes by trying again, and the others must be sent.
            logger.exception("%s[%s]: a linked task could not be sent", request.task, request.id)
