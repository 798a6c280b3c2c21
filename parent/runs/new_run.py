"""New runs: made in memory with their first steps open, then written."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from parent.conf import setting
from parent.definition.mapping import Map
from parent.definition.parent_task import parent_task_name
from parent.definition.signals import Awaited, Signal
from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow, registry
from parent.errors import UnknownWorkflow
from parent.messages.publish import first_batch, publish_follow_up, publish_steps
from parent.models import Item, Run, Step, When
from parent.notifications.announce import (
    announce_failed_steps,
    announce_requests,
    announce_starts,
    is_asked,
)
from parent.notifications.rules import STORED_RULES
from parent.runs.concurrency import shared_limits
from parent.runs.items.chunks import open_items
from parent.runs.items.opening import set_primary_keys
from parent.runs.nested.child import workflow_of
from parent.runs.transitions import apply_plan, update_from_steps
from parent.store import results
from parent.store.writes.insert import prepare_insert, prepare_insert_and_ask
from parent.telemetry import tracing

__all__ = ["NewRuns", "deadline", "timeout_of"]

STEP_SETTINGS = ("QUEUE_TIMEOUT", "RUN_TIMEOUT", "STALL_TIMEOUT", "POLL_INTERVAL")


class NewRuns:
    """Runs in memory, with their steps, and with the runs that their first steps are."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.in_line: set[tuple[str, str]] = set()
        """The workflows and keys of child runs that wait for their turn: let the next one begin
        when these rows are committed."""
        self._steps: list[Step] = []
        self._first: list[Step] = []
        self._insert_runs: list[tuple[Sequence[Run], Callable[[], bool]]] = []
        self._inserts: list[Callable[[], None]] = []

    def add(
        self, workflow: Workflow, params: dict[str, Any], now: datetime, **columns: Any
    ) -> None:
        """Add a run of the workflow, with its first steps open."""
        limit = deadline(now, workflow.timeout, columns.pop("run_timeout", None))
        run = Run(
            workflow=workflow.name,
            trace=tracing.begin(workflow.name, columns["id"]),
            params=params,
            version=0,
            created_at=now,
            **columns,
        )
        if not run.waits_for_turn:
            run.due_at = run.deadline_at = limit
        limits = {name: setting(name) for name in STEP_SETTINGS}
        steps = [
            _step_row(run, index, step, workflow.after(step), limits)
            for index, step in enumerate(workflow.all_steps)
        ]
        changes = apply_plan(run, steps, now)
        update_from_steps(run, steps, changes.final, now)
        self.runs.append(run)
        self._steps += steps
        self._first += first_batch([step for step in changes.opened if not step.is_in_line], now)
        for step in changes.nested:
            self.add_child(run, step, now)

    def add_child(self, run: Run, step: Step | Item, now: datetime) -> None:
        """Add the run that this step of `run`, or this item of one, is."""
        params, step.child_params = step.child_params, None
        key, step.child_place_key = step.child_place_key, None
        if key is not None:
            # Who opens it holds the lock of the run around it, and so must not wait for the lock of
            # the key. So it waits for its turn, which may come at once after the commit.
            self.in_line.add((workflow_of(step), key))
        with tracing.under(run):
            self.add(
                registry.get(workflow_of(step)),
                params,
                now,
                id=step.child_run_id,
                owner_id=run.owner_id,
                parent_run=run,
                depth=run.depth + 1,
                run_timeout=step.run_timeout,
                place_key=key,
            )

    def convert(self) -> None:
        """Convert the rows to the database's types; `write` does it too, in its transaction."""
        by_workflow = defaultdict(list)
        for run in self.runs:
            by_workflow[run.workflow].append(run)
        self._insert_runs = [
            (runs, prepare_insert_and_ask(runs, STORED_RULES, [name]))
            for name, runs in by_workflow.items()
        ]
        self._inserts = [
            prepare_insert(self._steps),
            *(
                results.prepare_create(runs, parent_task_name(name))
                for name, runs in by_workflow.items()
            ),
        ]

    def write(self) -> None:
        """Write all of it, in the caller's transaction; when that commits, the first are sent."""
        if not self._inserts:
            self.convert()
        have_rules = [(runs, insert_runs()) for runs, insert_runs in self._insert_runs]
        for insert in self._inserts:
            insert()
        mapped = [step for step in self._steps if step.items is not None]
        if mapped:
            set_primary_keys(self.runs, mapped)
        for step in mapped:
            items = open_items(step, step.run.created_at)
            transaction.on_commit(partial(publish_steps, items))
        transaction.on_commit(partial(publish_steps, self._first))
        shared_limits.enter(self._steps)
        for run in self.runs:
            publish_follow_up(run)  # it has ended if the inputs of its first steps raised
        for runs, has_stored_rules in have_rules:
            announce_starts(runs, runs[0].created_at, has_stored_rules=has_stored_rules)
        stored = {run.pk: has_rules for runs, has_rules in have_rules for run in runs}
        for step in filter(is_asked, self._steps):
            run = step.run
            announce_requests(run, [step], run.created_at, has_stored_rules=stored[run.pk])
        announce_failed_steps(self._steps)


def deadline(now: datetime, *timeouts: float | None) -> datetime | None:
    """The end of the shortest of these times in seconds; None or 0 is no limit."""
    limits = [seconds for seconds in timeouts if seconds]
    return now + timedelta(seconds=min(limits)) if limits else None


def timeout_of(workflow: str) -> float | None:
    """The declared timeout of a workflow; None if it has none, or is not known here."""
    try:
        return registry.get(workflow).timeout
    except UnknownWorkflow:
        return None


def _step_row(
    run: Run,
    index: int,
    step: StepDefinition,
    after: Sequence[str],
    limits: Mapping[str, float | None],
) -> Step:
    def limit(own: float | None, name: str) -> float | None:
        """The step's own value, else the setting's. 0 turns a limit off."""
        return (own or None) if own is not None else limits[name]

    if isinstance(step, Awaited):
        return _awaited_row(run, index, step, after)
    retrying = step.retrying
    return Step(
        run=run,
        index=index,
        name=step.label,
        task=step.task_name,
        queue=step.queue or "",
        priority=step.priority,
        after=list(after),
        when=step.when,
        optional=step.optional,
        unless=list(step.unless) or None,
        limits=list(step.limits) or None,
        weight=step.weight,
        queue_timeout=limit(step.queue_timeout, "QUEUE_TIMEOUT"),
        run_timeout=limit(step.run_timeout, "RUN_TIMEOUT"),
        stall_timeout=limit(step.stall_timeout, "STALL_TIMEOUT"),
        poll_interval=limit(step.poll_interval, "POLL_INTERVAL") or 0.0,
        retries=retrying.retries,
        retry_delay=retrying.delay,
        backoff=retrying.backoff,
        nested=bool(step.nested),
        **_mapped_columns(step),
    )


def _awaited_row(run: Run, index: int, step: Awaited, after: Sequence[str]) -> Step:
    """The row of a signal or an approval, which has no share of the run's completion."""
    return Step(
        run=run,
        index=index,
        name=step.label,
        after=list(after),
        # Of a signal, `plan` decides whether anything waits for it.
        when=When.ALWAYS if isinstance(step, Signal) else step.when,
        optional=step.optional,
        unless=list(step.unless) or None,
        weight=0.0,
        run_timeout=step.timeout,
        awaits=step.awaits,
        on_timeout=step.on_timeout if step.timeout else "",
    )


def _mapped_columns(step: StepDefinition) -> dict[str, Any]:
    if not isinstance(step, Map):
        return {}
    return {
        "chunk": step.chunk,
        "fed_by": step.fed_by,
        "max_active": step.max_active,
        "tolerate": str(step.tolerate or ""),
    }
