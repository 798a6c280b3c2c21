"""Giving a run a signal or a decision, and closing a signal. Each locks the run, as an end does."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from children.errors import AttemptLost
from parent.definition.name_lists import join_names
from parent.definition.parameters.json_text import same_json
from parent.definition.signals import Awaited, awaited_steps, signal_of
from parent.definition.workflow import registry
from parent.errors import InvalidParams, SignalClosed, UnknownSignal
from parent.models import Awaits, Event, ReceivedSignal, Run, Step, StepState
from parent.models.run import shortened
from parent.runs.advance import advance
from parent.runs.endings import Ending, end_attempt, not_recorded
from parent.runs.items.add import add_item
from parent.runs.signals.feed_items import NON_FIELD, end_feeding, fed_step, item_of
from parent.runs.signals.locking import (
    find,
    given_before,
    given_earlier,
    lock_with_step,
    require_open,
)
from parent.runs.signals.opening import outcome_of
from parent.runs.signals.payload import shown_values, values_of
from parent.runs.transitions import mark_skipped
from parent.store.run_rows import Locked, steps_of
from parent.store.writes.insert import insert_if_new, prepare_insert
from parent.store.writes.update import write

__all__ = ["close", "definition_of", "give"]


CLOSED_COLUMNS = ("state", "finished_at", "message", "unneeded", "due_at")


def definition_of(run: Run, name: str) -> Awaited:
    """The signal or approval of that name in the run's workflow.

    Raises:
        UnknownWorkflow: this process does not know the workflow.
        UnknownSignal: it has none of that name.
    """
    workflow = registry.get(run.workflow)
    definition = signal_of(workflow, name)
    if definition is None:
        known = [step.label for step in awaited_steps(workflow)]
        takes = f"it takes: {join_names(known)}" if known else "it takes none"
        raise UnknownSignal(f"{run.workflow} has no signal or approval {name!r}; {takes}.")
    return definition


def give(
    run_id: Run | UUID | str,
    name: str,
    values: Mapping[str, Any],
    *,
    who: str = "",
    task_id: str | None = None,
    key: str | None = None,
    still_counts: Callable[[], bool] | None = None,
) -> ReceivedSignal:
    """Give a run a signal, or the decision of an approval, and return its row.

    It is stored whether or not a step waits for it already. Only the first one counts; if the same
    values are given again, the first row is returned. A signal that feeds a `Map` may come many
    times: each becomes an item. Two with the same key are the same item.

    Args:
        run_id: the run's id; or the run, of which only the workflow counts.
        values: what its serializer takes; of an approval `decision`, `comment` and its form's.
        who: the name of the user, for the run's history.
        key: of the item, where the `Map` does not take it from the values; None numbers it.
        task_id: the attempt of the step that is meant; None for any.
        still_counts: returns whether the attempt that gives the signal still counts. It is called
            where the run is locked.

    Raises:
        UnknownRun: no run has that id.
        UnknownWorkflow, UnknownSignal: see `definition_of`.
        InvalidParams: the values do not fit, by field. Nothing is stored.
        SignalGiven: it was given before, with other values.
        SignalClosed: the run or the step has ended, or the signal was closed.
        AttemptLost: the attempt that gives it does not count any more.
    """
    run = find(run_id)
    checked = values_of(definition_of(run, name), values)
    store = partial(_store, run, name, checked, who, task_id, key, still_counts)
    try:
        return store()
    except _EndFailed as exc:
        return store(error=not_recorded(name, exc.task_id, exc.reason))


class _EndFailed(Exception):
    """The end of the step that waits cannot be stored, for this reason, so nothing was."""

    def __init__(self, task_id: str, reason: Exception) -> None:
        super().__init__(task_id, reason)
        self.task_id, self.reason = task_id, reason


def _store(
    run: Run,
    name: str,
    values: dict[str, Any],
    who: str,
    task_id: str | None,
    key: str | None,
    still_counts: Callable[[], bool] | None,
    *,
    error: str = "",
) -> ReceivedSignal:
    """Store what has come, and end the step that waits for it: with `error`, if there is one."""
    with transaction.atomic():
        locked, step = lock_with_step(run, name)
        if still_counts is not None and not still_counts():
            raise AttemptLost(f"The attempt no longer counts, so {name} was not given.")
        fed = fed_step(run, name)
        if fed is None and key is not None:
            raise InvalidParams({NON_FIELD: [f"{name} takes no key: the first one counts."]})
        item = None if fed is None else item_of(fed, run, values, key)
        came = ReceivedSignal(
            run=run,
            name=name,
            key="" if item is None else item.key,
            values=values,
            who=shortened(who),
            at=locked.now,
        )
        if not insert_if_new(came):
            return _given_again(step, came, task_id)
        require_open(locked.run, step, task_id)
        if fed is None:
            _note(step, came)
            if step.state == StepState.RUNNING:
                _end(locked, step, came, error)
        elif item is not None and fed.state == StepState.RUNNING:
            add_item(fed, item, locked.now)
    return came


def _given_again(step: Step, again: ReceivedSignal, task_id: str | None) -> ReceivedSignal:
    """The signal that came before this one, if it says the same.

    Raises:
        SignalGiven: it does not.
    """
    [earlier] = given_earlier(again.run, again.name, again.key)
    if task_id not in (None, step.task_id) or not same_json(earlier.values, again.values):
        raise given_before(step, earlier)
    return earlier


def _note(step: Step, came: ReceivedSignal) -> None:
    """Write it into the run's history. Of items there may be thousands: their own rows say who gave
    them, and when.
    """
    what = came.values["decision"] if step.awaits == Awaits.APPROVAL else "signal"
    given = shown_values(definition_of(came.run, came.name), came.values)
    detail = {"signal": came.name, "given": given}
    prepare_insert([Event(run=came.run, at=came.at, who=came.who, what=what, detail=detail)])()


def _end(locked: Locked, step: Step, came: ReceivedSignal, error: str) -> None:
    """End the step that waits for it; a second time with the error of the first.

    Raises:
        _EndFailed: the first time, if that cannot be stored.
        SignalClosed: the step has ended.
    """
    task_id, outcome = str(step.task_id), outcome_of(step, came)
    try:
        ending = end_attempt(
            task_id,
            outcome.failed(error) if error else outcome,
            has_result=False,
            expected_state=StepState.RUNNING,
            locked=locked if locked.steps else None,
        )
    except Exception as exc:
        if error:
            raise
        raise _EndFailed(task_id, exc) from exc
    if ending is not Ending.ENDED:  # whoever ends it holds the lock that is held here
        raise SignalClosed(f"{step.name} was ended meanwhile: look at the run.")


def close(
    run_id: UUID | str,
    name: str,
    *,
    who: str = "",
    still_counts: Callable[[], bool] | None = None,
) -> Run:
    """Close a signal that nobody has given: its step is skipped, which is not a failure.

    One that feeds a `Map` is OK then, and the `Map` ends with its last item.

    Args:
        still_counts: as of `give`. A later attempt of the same step finds it closed, and that is
            no error.

    Raises:
        UnknownRun, UnknownWorkflow, UnknownSignal: as `give` does.
        SignalGiven: it has come already.
        SignalClosed: it is closed already, or the run has ended.
    """
    run = find(run_id)
    with transaction.atomic():
        try:
            locked, step = lock_with_step(run, name)
        except UnknownSignal:
            definition_of(run, name)  # says which there are, if it is a slip
            raise
        if still_counts is not None and not still_counts():
            raise AttemptLost(f"The attempt no longer counts, so {name} was not closed.")
        if step.awaits != Awaits.SIGNAL:
            raise UnknownSignal(f"{name} is an approval: approve or reject it.")
        if still_counts is not None and _is_closed(run, name):
            return locked.run
        fed = fed_step(run, name)
        if fed is None and (earlier := given_earlier(run, name)):
            raise given_before(step, earlier[0])
        require_open(locked.run, step, None)
        said = f"closed by {who}" if who else "closed"
        if fed is not None:
            end_feeding(locked, step.pk, fed.pk, said)
        else:
            _skip(locked, step, said)
        detail = {"signal": name}
        Event.objects.create(run=locked.run, at=locked.now, who=who, what="close", detail=detail)
    return locked.run


def _is_closed(run: Run, name: str) -> bool:
    return Event.objects.filter(run=run, what="close", detail={"signal": name}).exists()


def _skip(locked: Locked, step: Step, reason: str) -> None:
    steps = steps_of(locked.run)
    closed = next(each for each in steps if each.pk == step.pk)
    mark_skipped([closed], locked.now, {step.name: reason}, [step.name])
    write([closed], CLOSED_COLUMNS)
    advance(locked.run, steps, locked.now)
