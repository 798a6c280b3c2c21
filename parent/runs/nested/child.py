"""A step that opens as a run of its own, in memory."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from children.meta import Meta
from parent.conf import nesting_limit
from parent.definition.parameters.params import as_json, validate
from parent.definition.parent_task import NAME_PREFIX
from parent.definition.workflow import registry
from parent.errors import InvalidWorkflow
from parent.models import Item, Run, Step, StepState
from parent.runs.attempts import clear_attempt
from parent.runs.concurrency.runs_in_line import turn_message
from parent.runs.nested.tree import times_inside

__all__ = [
    "begin_child",
    "check_depth",
    "end_without_run",
    "run_again",
    "too_deep",
    "workflow_of",
]


def workflow_of(step: Step | Item) -> str:
    """The name of the workflow that a nested step, or each of its items, runs."""
    return step.task.removeprefix(NAME_PREFIX)


def too_deep(run: Run, step: Step) -> str:
    """Why this step of the run, which runs a workflow, is OK without a run: its `max_depth` is
    reached. Empty if it is not.

    Raises:
        UnknownWorkflow, UnknownStep: this process has a version of the code without it.
    """
    most = registry.get(run.workflow).step(step.name).max_depth if step.nested else None
    if most is None or times_inside(run, workflow_of(step)) < most:
        return ""
    return f"{most} runs of {workflow_of(step)} are inside of each other: it goes no deeper"


def end_without_run(step: Step, reason: str, now: datetime) -> None:
    """Make the step OK at once, in memory; its result is None."""
    run_again(step, now)
    step.set_meta(Meta(message=reason).ok(None))
    step.state, step.finished_at = StepState.OK, now


def check_depth(run: Run) -> None:
    """Check that there may be runs inside of this one.

    Raises:
        InvalidWorkflow: too many would be inside of each other.
    """
    limit = nesting_limit()
    if run.depth >= limit:
        raise InvalidWorkflow(
            f"{limit} runs are inside of each other already, as many as the setting "
            "WORKFLOW_NESTING_LIMIT allows"
        )


def begin_child(run: Run, step: Step | Item, inputs: Mapping[str, Any], now: datetime) -> None:
    """Make the step, or the item, RUNNING, with the id and the parameters of a new run.

    That run is still to be written.

    Raises:
        InvalidParams: the inputs do not fit the parameters of its workflow, or the key of its limit
            cannot be made of them.
        InvalidWorkflow: too many runs would be inside of each other.
        UnknownWorkflow: this process has no such workflow.
    """
    check_depth(run)
    workflow = registry.get(workflow_of(step))
    step.child_params = as_json(validate(workflow, inputs))
    run_again(step, now)
    if workflow.concurrency is not None:
        step.child_place_key = workflow.concurrency.key_of(step.child_params)
        step.message = turn_message(step.child_place_key)
    step.kwargs, step.child_run_id = dict(inputs), uuid4()


def run_again(step: Step | Item, now: datetime) -> None:
    """Make the step, or the item, RUNNING, in a new attempt, with the run that it has."""
    clear_attempt(step)
    step.state, step.task_id = StepState.RUNNING, str(uuid4())
    step.attempt += 1
    step.publish_count = 0
    step.queued_at = step.started_at = now
