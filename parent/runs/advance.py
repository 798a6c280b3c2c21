"""Advancing a run from one step to the next. The caller holds a lock on the run's row."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from celery.utils.log import get_logger
from django.db import transaction
from django.db.models import Q

from parent.decisions.plan import NOTHING, plan
from parent.decisions.step_like import holds_run
from parent.definition.parent_task import parent_task_name
from parent.messages.publish import first_batch, publish_follow_up, publish_steps, republish_after
from parent.models import Run, RunState, Step, StepState
from parent.models.fields import META_COLUMNS
from parent.notifications.announce import (
    announce_end,
    announce_failed_steps,
    announce_requests,
    is_asked,
)
from parent.notifications.rules import STORED_RULES
from parent.runs.attempts import ATTEMPT_COLUMNS
from parent.runs.concurrency import runs_in_line, shared_limits
from parent.runs.following.hand_over import HandOver
from parent.runs.items.chunks import open_items
from parent.runs.nested.reports import report_up
from parent.runs.new_run import NewRuns, deadline, timeout_of
from parent.runs.opening import is_known
from parent.runs.transitions import Changes, apply_plan, log_end, update_from_steps
from parent.store import results
from parent.store.outage import OUTAGE
from parent.store.run_rows import UnreadSteps, lock_run, steps_of
from parent.store.run_summaries import read_summaries
from parent.store.writes.one_row import write_and_ask
from parent.store.writes.update import write

__all__ = [
    "advance",
    "begin_turn",
    "continue_run",
    "pass_place_on",
    "pass_places_on_after_commit",
    "write_run",
]

logger = get_logger(__name__)

FIRST_ATTEMPT_COLUMNS = (
    *("state", "attempt", "task_id", "kwargs", "publish_count", "due_at", "queued_at"),
)
"""What opening a step writes, the first time: its other columns still have their defaults."""

NEW_ATTEMPT_COLUMNS = (*ATTEMPT_COLUMNS, "attempt", "kwargs", "publish_count", "retries_used")
"""What opening a step writes after an earlier attempt."""

MAPPED_COLUMNS = (*ATTEMPT_COLUMNS, "attempt", "publish_count", "retries_used", "items")
NESTED_COLUMNS = (*NEW_ATTEMPT_COLUMNS, "child_run_id")
AWAITED_COLUMNS = (*ATTEMPT_COLUMNS, "attempt", "publish_count")
CLAIM_COLUMNS = ("message_id", "claim", "executor_id", "started_at")
SKIPPED_COLUMNS = ("state", "finished_at", "due_at", "message", "unneeded")
FAILED_COLUMNS = ("state", "finished_at", "traceback", *META_COLUMNS)
RUN_COLUMNS = (
    *("state", "version", "started_at", "finished_at", "mirrored_at", "due_at"),
    *META_COLUMNS,
)


def continue_run(run_id: Any) -> bool:
    """Open or skip what follows in a run; False if nothing follows, or there is no such run.

    Each end of a step advances its run. This is for a run that was not advanced because the
    process, with another version of the code, did not know its steps.
    """
    with transaction.atomic():
        locked = lock_run(run_id)
        if locked is None or locked.run.ended or plan(locked.steps) == NOTHING:
            return False
        advance(locked.run, locked.steps, locked.now)
    return True


def advance(
    run: Run,
    steps: Sequence[Step],
    now: datetime,
    *,
    mirror: bool = True,
    unread: UnreadSteps | None = None,
    hand_over: HandOver | None = None,
    ended: Step | None = None,
    also: Sequence[str] = (),
) -> None:
    """Open and skip steps of a locked run, end the run if it is over, and write all of it.

    Args:
        mirror: False leaves the run's own row and its `TaskResult` to the next tick, if a step
            opens: the claim of that step makes the run due within a second.
        unread: the run's other steps, if `steps` are not all; see `lock_for_end`.
        hand_over: may claim one of the steps that open for this process, where `ended` has ended.
            If the run ends, its place is passed on in this transaction, and `hand_over` may claim
            a step of the run that begins.
        also: further columns of the run to write.
    """
    was_due_at = run.due_at
    changes = apply_plan(run, steps, now, known=is_known(run, steps), unread=unread)
    goes_on = unread is None or unread.active or any(map(holds_run, steps))
    cascades = unread is not None and changes.skipped and not unread.has_indirect
    at_once = (step.state for step in (*changes.mapped, *changes.awaited))
    ended_at_once = any(state != StepState.RUNNING for state in at_once)
    if unread is not None and (changes.failed or cascades or ended_at_once or not goes_on):
        # More steps must open or be skipped, or the run is over: these need all of its steps.
        steps, unread = unread.all_steps(steps), None
        changes = apply_plan(run, steps, now, known=is_known(run, steps), before=changes)
    run.due_at = run.deadline_at
    if changes.needs_other_worker:
        # This process may have another version of the code. A tick sends the parent's message
        # again, to find a worker that knows the steps.
        run.due_at = min(filter(None, (now + republish_after(0), run.deadline_at)))
    free = [step for step in changes.opened if not step.is_in_line]
    taken = hand_over.take(ended, free, now) if hand_over and ended else None
    first = first_batch([step for step in free if step is not taken], now)
    _write_changes(changes, taken)
    _open_inside(run, changes, now)
    mirror = mirror or any(map(is_asked, changes.awaited))
    if mirror or not changes.opened or changes.final is not None or run.due_at != was_due_at:
        pass_on = None
        # A run that ends as it begins passes its place on later: there may be a thousand of them.
        if hand_over is not None and ended is not None and ended in steps:
            pass_on = partial(_pass_place_on_now, hand_over, ended)
        write_run(run, steps, changes.final, now, unread=unread, also=also, pass_on=pass_on)
    announce_requests(run, changes.awaited, now)
    if first:
        transaction.on_commit(lambda: publish_steps(first))


def _write_changes(changes: Changes, taken: Step | None) -> None:
    write(changes.skipped, SKIPPED_COLUMNS)
    opened = [step for step in changes.opened if step is not taken]
    write([step for step in opened if step.attempt == 1], FIRST_ATTEMPT_COLUMNS)
    write([step for step in opened if step.attempt > 1], NEW_ATTEMPT_COLUMNS)
    if taken is not None:
        new = FIRST_ATTEMPT_COLUMNS + CLAIM_COLUMNS if taken.attempt == 1 else NEW_ATTEMPT_COLUMNS
        write([taken], new)
    # The checkpoint is a deferred column. It is in memory only if it was set to None.
    write([step for step in changes.opened if "checkpoint" in step.__dict__], ["checkpoint"])
    write(changes.mapped, MAPPED_COLUMNS)
    write(changes.nested, NESTED_COLUMNS)
    write(changes.awaited, AWAITED_COLUMNS)
    write(changes.failed, FAILED_COLUMNS)
    announce_failed_steps(changes.failed)


def _open_inside(run: Run, changes: Changes, now: datetime) -> None:
    """Open what is inside of the opened steps, and let those with limits stand in line."""
    shared_limits.enter(changes.opened)
    for step in changes.mapped:
        transaction.on_commit(partial(publish_steps, open_items(step, now)))
    if changes.nested:
        children = NewRuns()
        for step in changes.nested:
            children.add_child(run, step, now)
        children.write()
        pass_places_on_after_commit(children.in_line)


def write_run(
    run: Run,
    steps: Sequence[Step],
    final: RunState | None,
    now: datetime,
    error: str = "",
    *,
    unread: UnreadSteps | None = None,
    also: Sequence[str] = (),
    pass_on: Callable[[str, str], None] | None = None,
) -> None:
    """Write the run's row and its `TaskResult`. The rows of its steps are already written.

    Args:
        final: the state that the run ends in; None if it goes on.
        error: replaces the error of its first failed step.
        unread: the run's other steps, if `steps` are not all.
        also: further columns of the run to write.
        pass_on: passes on the place of the run, if the run ends; None does it after the commit.
    """
    summary = read_summaries([run.pk])[run.pk] if unread is not None else None
    update_from_steps(run, steps, final, now, error, summary)
    if run.ended:
        has_stored_rules = write_and_ask(run, RUN_COLUMNS, STORED_RULES, [run.workflow])
        announce_end(run, now, has_stored_rules=has_stored_rules)
    else:
        write([run], (*RUN_COLUMNS, *also))
    if not results.update(run, now) and run.ended:
        # Celery's cleanup, or a client's `forget()`, deleted the row: the end must be readable.
        results.create(run, parent_task_name(run.workflow))
    publish_follow_up(run)
    report_up([run], now)
    log_end(run)
    if run.ended and run.place_key is not None:
        pass_on = pass_on or _pass_place_on_after_commit
        pass_on(run.workflow, run.place_key)


def _pass_place_on_now(hand_over: HandOver, ended: Step, workflow: str, key: str) -> None:
    """Let the next run in line begin in this transaction, or after it where that could go wrong.

    Args:
        hand_over: may claim its first step for this process.
    """
    if not runs_in_line.try_lock(workflow, key):
        # Whoever has it may wait for the run that ends here.
        _pass_place_on_after_commit(workflow, key)
        return
    try:
        with transaction.atomic():
            runs_in_line.fill_locked(
                workflow, key, partial(begin_turn, hand_over=hand_over, ended=ended)
            )
    except OUTAGE:
        raise
    except Exception:
        # It must not keep this run from ending.
        hand_over.taken = None
        logger.exception("%s %s: the next run could not be opened", workflow, key)
        _pass_place_on_after_commit(workflow, key)


def _pass_place_on_after_commit(workflow: str, key: str) -> None:
    transaction.on_commit(partial(pass_place_on, workflow, key))


def pass_places_on_after_commit(keys: Iterable[tuple[str, str]]) -> None:
    """`pass_place_on` for each of these workflows and keys, when the transaction commits."""
    for workflow, key in sorted(keys):
        _pass_place_on_after_commit(workflow, key)


def pass_place_on(workflow: str, key: str) -> None:
    """Let the next runs in line begin; a tick does it later if the database does not answer."""
    try:
        runs_in_line.fill(workflow, key, begin_turn)
    except OUTAGE as exc:
        logger.warning("%s %s: %s; a tick opens the next run", workflow, key, exc)


def begin_turn(
    run: Run, now: datetime, *, hand_over: HandOver | None = None, ended: Step | None = None
) -> None:
    """Give a locked run its place and open its first steps, in the caller's transaction.

    Args:
        hand_over: may claim one of them for this process, where `ended` has ended.
    """
    if not run.waits_for_turn:
        return
    run.has_place = True
    limit = timeout_of(run.workflow)
    mine = Q(child_run_id=run.pk) | Q(rows__child_run_id=run.pk)
    of_step = Step.objects.filter(mine, run=run.parent_run_id).values_list("run_timeout", flat=True)
    run.due_at = run.deadline_at = deadline(now, limit, *(of_step if run.is_child else ()))
    if hand_over is not None and hand_over.taken is not None:
        hand_over = None  # for a run that has begun before
    columns = ("has_place", "deadline_at")
    advance(run, steps_of(run), now, hand_over=hand_over, ended=ended, also=columns)
