"""Telling others of a change: signals after its commit, deliveries in its transaction.

A run without rules costs no statement here.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from children.isolation.contained import contained
from parent import signals
from parent.definition.notify import ADMINS, OWNER
from parent.errors import UnknownWorkflow
from parent.models import (
    Awaits,
    Delivery,
    Firing,
    FiringState,
    NotificationKind,
    Run,
    RunState,
    SkipReason,
    Step,
    StepState,
)
from parent.notifications.occasions import (
    failed_before_retry,
    first_wanted,
    miss_event,
    occasions_of,
    run_event,
)
from parent.notifications.rule_problems import admin_addresses
from parent.notifications.rules import Rule, in_code, stored

__all__ = [
    "announce_end",
    "announce_failed_steps",
    "announce_miss",
    "announce_requests",
    "announce_starts",
    "deliveries_of",
    "is_asked",
]

STARTED, REQUESTED, MISSED = ("started",), ("approval_requested",), ("schedule_missed",)
WANTED_REASONS = (SkipReason.PAUSED, SkipReason.EDITED, SkipReason.REMOVED)
"""Why a time is left out because somebody wants it so."""

Body = Callable[[str], str]
"""Makes the JSON of a notification for an occasion."""


def announce_starts(runs: Sequence[Run], now: datetime, *, has_stored_rules: bool) -> None:
    """Tell of the starts of these runs of one workflow, in the transaction that writes them.

    Args:
        has_stored_rules: the answer to `STORED_RULES`.
    """
    rules = _rules(runs[0].workflow, has_stored_rules=has_stored_rules) if runs else []
    _write([row for run in runs for row in _of_run(run, rules, STARTED, now, 0)])
    for run in runs:
        _send(signals.run_started, Run, run=run)
        if run.ended:
            # The inputs of its first steps raised.
            announce_end(run, now, has_stored_rules=has_stored_rules)


def announce_end(run: Run, now: datetime, *, has_stored_rules: bool) -> None:
    """Tell of the end of a locked run, in the transaction that writes it."""
    _send(signals.run_ended, Run, run=run)
    rules = _rules(run.workflow, has_stored_rules=has_stored_rules)
    if not rules:
        return
    asks = run.state == RunState.SUCCESS and any("recovered" in rule.on for rule in rules)
    occasions = occasions_of(run.state, recovered=asks and _has_recovered(run, now))
    _write(_of_run(run, rules, occasions, now, run.version))


def is_asked(step: Step) -> bool:
    """Whether it is an approval that waits for its decision."""
    return step.awaits == Awaits.APPROVAL and step.state == StepState.RUNNING


def announce_requests(
    run: Run, steps: Iterable[Step], now: datetime, *, has_stored_rules: bool = True
) -> None:
    """Tell of those of these steps, which have opened, that ask for a decision.

    In the transaction that writes them, after the run's row: `version` orders the notifications.
    """
    asked = [step for step in steps if is_asked(step)]
    for step in asked:
        _send(signals.approval_requested, Step, step=step)
    rules = _rules(run.workflow, has_stored_rules=has_stored_rules) if asked else []
    _write(
        [
            row
            for step in asked
            for row in _of_run(run, rules, REQUESTED, now, run.version, step=step)
        ]
    )


def announce_miss(firing: Firing) -> None:
    """Tell of a time of a schedule that has started no run, in the transaction that writes it.

    Whoever starts a run by hand has the answer, and a time that somebody left out is not missed.
    """
    missed = firing.state in (FiringState.SKIPPED, FiringState.REFUSED)
    if firing.who or not missed or firing.reason in WANTED_REASONS:
        return
    rules = _rules(firing.schedule.workflow, has_stored_rules=True)
    body = partial(miss_event, firing)
    _write(_deliveries(rules, MISSED, body, firing.at, has_owner=False, firing=firing))


def announce_failed_steps(steps: Iterable[Step]) -> None:
    """Tell of those of these steps that are an ERROR, after the transaction that writes them."""
    for step in steps:
        if step.state == StepState.ERROR:
            _send(signals.step_failed, Step, step=step)


def _send(signal: Any, sender: Any, **about: Any) -> None:
    if signal.has_listeners(sender):
        # `send_robust` logs exceptions of receivers, but lets `SystemExit` through. `contained`
        # makes that an exception too, and `robust` logs it.
        tell = contained()(partial(signal.send_robust, sender=sender, **about))
        transaction.on_commit(tell, robust=True)


def _rules(workflow: str, *, has_stored_rules: bool) -> list[Rule]:
    try:
        rules = in_code(workflow)
    except UnknownWorkflow:
        # Another process will know whether there are any.
        kind = NotificationKind.CODE
        rules = [Rule(kind=kind, on=(), target="", lane=f"code:{workflow}")]
    return [*rules, *(stored(workflow) if has_stored_rules else ())]


def _has_recovered(run: Run, now: datetime) -> bool:
    history = list(run.events.order_by("pk").values_list("what", flat=True))
    if failed_before_retry(history):
        return True
    others = Run.objects.filter(workflow=run.workflow, finished_at__lte=now).exclude(pk=run.pk)
    others = others.exclude(state=RunState.REVOKED).order_by("-finished_at")
    return others.values_list("state", flat=True).first() == RunState.FAILURE


def _write(rows: Sequence[Delivery]) -> None:
    if rows:
        Delivery.objects.bulk_create(rows)


def _of_run(
    run: Run,
    rules: Sequence[Rule],
    occasions: Sequence[str],
    now: datetime,
    sequence: int,
    *,
    step: Step | None = None,
) -> list[Delivery]:
    """The rows of what these rules say about a run, not written yet."""
    body = partial(run_event, run, at=now, sequence=sequence, approval=step)
    has_owner = run.owner_id is not None
    return _deliveries(rules, occasions, body, now, has_owner=has_owner, run_id=run.pk)


def _deliveries(
    rules: Iterable[Rule],
    occasions: Sequence[str],
    body: Body,
    now: datetime,
    *,
    has_owner: bool,
    **about: Any,
) -> list[Delivery]:
    """The rows of what these rules say, not written yet.

    Args:
        about: the columns that say what it is about: `run_id`, or `firing`.
    """
    rows = []
    for rule in rules:
        # A process that has the workflow's code looks later which of its rules want the occasion.
        is_code = rule.kind == NotificationKind.CODE
        occasion = occasions[0] if is_code else first_wanted(occasions, rule.on)
        if occasion is None:
            continue
        for target in _targets(rule, occasion, has_owner=has_owner):
            rows.append(
                Delivery(
                    rule_id=rule.row,
                    in_code=rule.row is None,
                    occasion=occasion,
                    kind=rule.kind,
                    target=target,
                    lane=rule.lane,
                    body=body(occasion),
                    due_at=now,
                    created_at=now,
                    **about,
                )
            )
    return rows


def _targets(rule: Rule, occasion: str, *, has_owner: bool) -> list[str]:
    """Whom the deliveries of a rule are for: one for all its recipients, where they get the same.

    An e-mail that asks for a decision has a link for its recipient alone.
    """
    if rule.for_owner_only and not has_owner:
        return []
    if rule.kind != NotificationKind.EMAIL or occasion not in REQUESTED:
        return [rule.target]
    found: list[str] = []
    for each in rule.recipients:
        found += admin_addresses() if each == ADMINS else [each]
    return [*dict.fromkeys(each for each in found if has_owner or each != OWNER)]


def deliveries_of(later: Delivery) -> list[Delivery]:
    """What the rules in code say of a change that a process without that code has written.

    Raises:
        UnknownWorkflow: this process does not have the code either.
    """
    # It did not look for a recovery, because it did not know that anybody wants that.
    return _deliveries(
        in_code(later.workflow),
        (later.occasion,),
        lambda _: later.body,
        later.created_at,
        has_owner=later.run is not None and later.run.owner_id is not None,
        run_id=later.run_id,
        firing_id=later.firing_id,
    )
