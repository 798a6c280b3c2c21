"""Which occasions the end of a run is, and what a notification says. No statement is made."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from parent.conf import run_url
from parent.definition.signals import signal_of
from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow
from parent.models import Firing, Run, RunState, Step

__all__ = ["failed_before_retry", "first_wanted", "miss_event", "occasions_of", "run_event"]


def occasions_of(state: str, *, recovered: bool = False) -> tuple[str, ...]:
    """The occasions of a run that has ended in `state`, the most specific first.

    Args:
        recovered: whether a failure came before this success.
    """
    match state:
        case RunState.SUCCESS:
            return ("recovered", "succeeded") if recovered else ("succeeded",)
        case RunState.FAILURE:
            return ("failed",)
        case RunState.REVOKED:
            return ("cancelled",)
    raise ValueError(f"A run that is {state} has not ended.")


def first_wanted(occasions: Sequence[str], on: Collection[str]) -> str | None:
    """The first of these occasions that is in `on`; None if there is none."""
    return next((each for each in occasions if each in on), None)


def failed_before_retry(history: Sequence[str]) -> bool | None:
    """Whether a run had failed before its last retry; None if nobody has retried it.

    Args:
        history: what was done to the run, in order: "cancel", "retry".
    """
    if "retry" not in history:
        return None
    last = len(history) - 1 - history[::-1].index("retry")
    return last == 0 or history[last - 1] != "cancel"


def run_event(
    run: Run, occasion: str, *, at: datetime, sequence: int, approval: Step | None = None
) -> str:
    """The JSON about a run. It has neither its parameters nor its result, which may be secret or
    large.

    Args:
        sequence: grows with each notification of the run, so that receivers can order them.
        approval: the step that asks for a decision.
    """
    data = {
        "id": str(run.pk),
        "sequence": sequence,
        "workflow": run.workflow,
        "title": _title(run.workflow),
        "state": run.state,
        "message": run.message,
        "error": run.error,
        "created_at": _text(run.created_at),
        "started_at": _text(run.started_at),
        "finished_at": _text(run.finished_at),
        "url": _link_to(run),
    }
    if approval is not None:
        data["approval"] = _asked(run, approval)
    return _event(f"run.{occasion}", at, data)


def miss_event(firing: Firing, occasion: str) -> str:
    """The JSON about times of a schedule that have started no run."""
    schedule = firing.schedule
    data = {
        "workflow": schedule.workflow,
        "title": _title(schedule.workflow),
        "schedule": schedule.name,
        "schedule_id": schedule.pk,
        "nominal_at": _text(firing.nominal_at),
        "until": _text(firing.until),
        "count": firing.count,
        "state": firing.state,
        "reason": firing.reason,
        "detail": firing.detail,
    }
    return _event(occasion.replace("_", ".", 1), firing.at, data)


def _event(kind: str, at: datetime, data: dict[str, Any]) -> str:
    event = {"type": kind, "timestamp": at.isoformat(), "data": data}
    return json.dumps(event, ensure_ascii=False)


def _asked(run: Run, step: Step) -> dict[str, Any]:
    """What is to be decided, by whom, and until when. `task_id` tells one request from the next."""
    definition = signal_of(registry.get(run.workflow), step.name)
    return {
        "name": step.name,
        "title": definition.shown_title if definition is not None else step.name,
        "permission": definition.permission if definition is not None else None,
        "until": _text(step.due_at),
        "task_id": step.task_id,
    }


def _link_to(run: Run) -> str | None:
    """The address of the run's page; None if no setting says where it is."""
    return run_url().replace("{id}", str(run.pk)) or None


def _title(workflow: str) -> str:
    try:
        return registry.get(workflow).shown_title
    except UnknownWorkflow:
        return workflow


def _text(at: Any) -> str | None:
    return at.isoformat() if isinstance(at, datetime) else None
