"""Opening a step: its inputs and a new attempt. And a run's result."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from celery import current_app

from children.meta import Meta, error_text
from children.sanitize import check_json, clean_traceback
from parent.decisions.mapping import copied
from parent.definition.mapping import Map
from parent.definition.parameters.json_text import same_json
from parent.definition.workflow import RunData, registry
from parent.errors import TransactionEnded, UnknownWorkflow
from parent.models import Run, Step, StepState, When
from parent.runs.attempts import queue_attempt
from parent.runs.author_data import apart, run_data
from parent.runs.items.opening import freeze_items
from parent.runs.nested.child import begin_child
from parent.store.authors_code import authors_code

__all__ = ["is_known", "open_step", "run_result"]


def is_known(run: Run, steps: Sequence[Step]) -> bool:
    """Whether this process has a workflow with all of the run's steps."""
    try:
        known = registry.get(run.workflow).by_label
    except UnknownWorkflow:
        return False
    return all(step.name in known for step in steps)


def open_step(run: Run, step: Step, data: Callable[[], RunData], now: datetime) -> bool:
    """Give the step its inputs and a new attempt, in memory; a mapped step its items.

    A nested step gets the parameters of its run.

    Args:
        data: returns the argument of the author's `inputs`; called only if the step has some.

    Returns:
        False if the inputs raised or are not valid: the step is an ERROR then.

    Raises:
        UnknownWorkflow, UnknownStep: this process has a version of the code without it.
    """
    definition = registry.get(run.workflow).step(step.name)
    try:
        if step.is_mapped or isinstance(definition, Map):
            with authors_code():
                freeze_items(step, definition, data, now)
            return True
        inputs: Mapping[str, Any] = run.params
        if step.input_override is not None:
            inputs = step.input_override
        elif definition.inputs is not None:
            with authors_code():
                inputs = _named(definition.inputs(data()))
        if step.nested:
            with authors_code():
                begin_child(run, step, inputs, now)
            return True
        kwargs = dict(inputs)
        _check_arguments(step, kwargs)
        if step.attempt and not same_json(step.kwargs, kwargs):
            step.checkpoint = None  # it is of other inputs
        step.kwargs = kwargs
    except Exception as exc:
        what = "items" if step.is_mapped else "inputs"
        error = f"Error in the {what} of {step.name}: {error_text(exc)}"
        if isinstance(exc, TransactionEnded):
            raise TransactionEnded(error, run.pk) from exc
        step.state, step.finished_at = StepState.ERROR, now
        step.set_meta(Meta().failed(error))
        step.traceback = clean_traceback(traceback.format_exc())
        return False
    queue_attempt(step, now)
    return True


def _named(given: Any) -> dict[str, Any]:
    """What the author's `inputs` returned, if they are keyword arguments; the author's own object
    may change before they are stored.
    """
    if not isinstance(given, Mapping):
        raise TypeError(
            f"`inputs` gave a value of type {type(given).__name__}, not a dict: return the child's "
            "keyword arguments"
        )
    if not all(isinstance(name, str) for name in given):
        raise TypeError("`inputs` gave a key that is not text: keyword arguments have names")
    kwargs = dict(given)
    check_json(kwargs, "the inputs are")
    return {name: copied(value) for name, value in kwargs.items()}


def _check_arguments(step: Step, kwargs: dict[str, Any]) -> None:
    check_arguments = getattr(current_app.tasks.get(step.task), "__header__", None)
    if check_arguments is not None:
        # Celery checks them again when it publishes, which is too late: the step is QUEUED then.
        check_arguments(**kwargs)


def run_result(run: Run, steps: Sequence[Step]) -> Meta:
    """The run's meta with its result: what the author's `result` returns, else that of the last
    step with `when="ok"`; without one of these, of the last step that is OK.

    Raises:
        ResultNotJSON: the result is not JSON. What the author's function raises passes through.
    """
    make_result = registry.get(run.workflow).result
    if make_result is None:
        good = [step for step in steps if step.state == StepState.OK]
        ordinary = [step for step in steps if step.when == When.OK] or good
        # An optional step that failed has no result.
        return run.meta.ok(ordinary[-1].result if ordinary[-1:] and ordinary[-1] in good else None)
    with authors_code():
        return run.meta.ok(make_result(apart(partial(run_data, run, steps))))
