"""Opening a step: its inputs, its attempt, its place in a queue."""

import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from celery import current_app

from children.meta import Meta, error_text
from children.storable import check_json, storable
from parent import registry
from parent.definitions import RunData
from parent.models import Run, Step, StepState
from parent.publish import republish_after

__all__ = ["open_step", "run_data", "run_result"]


def run_data(run: Run, steps: Sequence[Step]) -> RunData:
    """What the author's `inputs` and `result` read."""
    done = {step.name: step.result for step in steps if step.state == StepState.OK}
    return RunData(params=run.params, results=done)


def open_step(run: Run, step: Step, steps: Sequence[Step], now: datetime) -> bool:
    """Give the step its inputs and a new attempt, in memory.

    Returns:
        False where the inputs could not be made: the step is an ERROR then.
    """
    try:
        step.kwargs = _inputs(run, step, steps)
    except Exception as exc:
        step.state, step.finished_at = StepState.ERROR, now
        step.set_meta(Meta().failed(f"Error in the inputs of {step.name}: {error_text(exc)}"))
        step.traceback = storable(traceback.format_exc())
        return False
    step.state = StepState.QUEUED
    step.attempt += 1
    step.task_id, step.claim, step.executor = str(uuid4()), None, None
    step.set_meta(Meta())
    step.publishes, step.queued_at = 1, now
    step.started_at = step.reported_at = step.finished_at = None
    step.due_at = now + min(republish_after(0), _seconds(step.queue_timeout))
    return True


def _inputs(run: Run, step: Step, steps: Sequence[Step]) -> dict[str, Any]:
    definition = registry.get(run.workflow).step(step.name)
    given: Mapping[str, Any] = run.params
    if definition.inputs is not None:
        given = definition.inputs(run_data(run, steps))
    kwargs = dict(given)
    check_json(kwargs, "the inputs are")
    check_arguments = getattr(current_app.tasks.get(step.task), "__header__", None)
    if check_arguments is not None:
        # Here, and not at publishing, where it would come too late to be an outcome.
        check_arguments(**kwargs)
    return kwargs


def run_result(run: Run, data: RunData, steps: Sequence[Step]) -> Any:
    """The run's result: the author's, else the last step's."""
    made = registry.get(run.workflow).result
    result = made(data) if made is not None else steps[-1].result
    check_json(result)
    return result


def _seconds(limit: float | None) -> timedelta:
    return timedelta(seconds=limit) if limit is not None else timedelta.max
