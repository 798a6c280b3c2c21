"""Running a whole workflow in this process: for the tests of workflows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from celery import current_app
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from children import host
from parent.conf import interval
from parent.definition.workflow import Workflow
from parent.messages import publish
from parent.models import Item, Run, Step, StepState
from parent.runs.advance import begin_turn
from parent.runs.endings import bring_up
from parent.runs.items.child_runs import open_child_runs
from parent.runs.items.chunks import fill_places
from parent.runs.nested.tree import inner_runs
from parent.runs.start import start
from parent.store import clock
from parent.store.run_rows import lock_run_row

__all__ = ["continue_inline", "run_inline", "run_inline_with"]


def run_inline(
    workflow: Workflow,
    /,
    *,
    owner: User | None = None,
    **params: Any,
) -> Run:
    """Run a workflow to its end without broker or worker, with the same rows.

    It also works in a test's transaction. It waits for no place of a `concurrency` or of `limits`,
    and steps that would run in parallel run one after another.

    Returns:
        The ended run. If it failed, its `error` names the failed step; nothing is raised. A run
        that only waits for a signal or an approval is returned as it is: give that, and call
        `continue_inline`.

    Raises:
        InvalidParams, InvalidWorkflow: as `start()` does.
    """
    return run_inline_with(workflow, params, owner=owner)


def run_inline_with(
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    owner: User | None = None,
    periodic_task: str = "",
) -> Run:
    """Like `run_inline`, with the parameters in a mapping, so that they may have any name."""
    with publish.publishing_off():
        run = start(workflow, params, owner=owner, limited=False, periodic_task=periodic_task)
    return continue_inline(run)


def continue_inline(run: Run) -> Run:
    """Go on with a run that `run_inline` returned while it waited for a signal, which has come."""
    with publish.publishing_off():
        _run_to_end(run)
    return run


def _run_to_end(run: Run) -> None:
    """Run all that is queued in the run and inside of it, until it has ended or only waits."""
    while not run.ended:
        runs = [run.pk, *inner_runs([run.pk])]
        _begin_turns(runs[1:])
        came_up = _bring_up_ends(runs[1:])
        step = _next(runs)
        came_up = (step is None and _open_child_runs(runs)) or came_up
        if step is not None:
            _run_step(step)
        run.refresh_from_db()
        if step is None and not came_up and not run.ended:
            active = Step.objects.filter(run__in=runs, state__in=Step.ACTIVE)
            left = Item.objects.filter(step=OuterRef("pk"), state__in=Item.LEFT)
            active = active.exclude(~Exists(left), fed_by__gt="")
            if not active.filter(awaits="", nested=False).exists():
                return
            # Another process on this database runs the attempt.
            time.sleep(interval("POLL_INTERVAL"))


def _begin_turns(runs: Sequence[UUID]) -> None:
    """Let those of these child runs begin that wait for their turn: here none waits."""
    waiting = Run.objects.filter(pk__in=runs, has_place=False, place_key__isnull=False)
    for pk in waiting.filter(finished_at=None).values_list("pk", flat=True) if runs else ():
        with transaction.atomic():
            if (locked := lock_run_row(pk)) is not None:
                begin_turn(locked.run, locked.now)


def _bring_up_ends(runs: Sequence[UUID]) -> bool:
    """What the engine does after a commit; the transaction of a test does not commit."""
    ended = Run.objects.filter(pk__in=runs, finished_at__isnull=False, due_at__isnull=False)
    came_up = [bring_up(pk) for pk in ended.values_list("pk", flat=True)] if runs else []
    return any(came_up)


def _open_child_runs(runs: Sequence[UUID]) -> bool:
    """Open the items that are runs of their own, in place of what does it after a commit."""
    waiting = Item.objects.filter(step__run__in=runs, state=StepState.WAITING, step__nested=True)
    steps = list(waiting.order_by("step").values_list("step", flat=True).distinct())
    return sum(map(open_child_runs, steps)) > 0


def _next(runs: Sequence[UUID]) -> Step | Item | None:
    """The next step or item to run. A retry's delay is not waited for."""
    queued = Step.objects.filter(run__in=runs, state=StepState.QUEUED).select_related("run")
    if (step := queued.order_by("run__depth", "index").first()) is not None:
        return step
    items = Item.objects.filter(step__run__in=runs).select_related("step", "step__run")
    queued_items = items.filter(state=StepState.QUEUED).order_by("step__index", "index")
    if (item := queued_items.first()) is None and _end_delays(runs):
        item = queued_items.first()
    return item


def _end_delays(runs: Sequence[UUID]) -> bool:
    """Open the items that wait for the delay of a retry."""
    delayed = Item.objects.filter(step__run__in=runs, state=StepState.WAITING, due_at__isnull=False)
    steps = list(Step.objects.filter(pk__in=delayed.values("step_id")).select_related("run"))
    with transaction.atomic():
        delayed.update(due_at=None)
        opened = [fill_places(step, clock.now()) for step in steps]
    return any(opened)


def _run_step(step: Step | Item) -> None:
    """Run the attempt. What its body raises is its outcome.

    Raises:
        Exception: the attempt could not be claimed, so that nothing was run.
    """
    result = current_app.tasks[step.task].apply(
        kwargs=step.kwargs,
        task_id=step.task_id,
        headers={host.HEADER: publish.attempt_header(step)},  # type: ignore[dict-item]
        throw=False,
    )
    rows: QuerySet[Any] = type(step)._default_manager.all()
    if rows.filter(task_id=step.task_id, state=StepState.QUEUED).exists():
        result.get()  # raises it
