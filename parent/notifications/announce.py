"""Telling others of a change: signals after its commit, deliveries in its transaction.

A run without rules costs no statement here.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from parent import signals
from parent.conf import run_url
from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow
from parent.models import Delivery, NotificationKind, Run, RunState, Step, StepState
from parent.notifications.occasions import failed_before_retry, first_wanted, occasions_of
from parent.notifications.rules import Rule, in_code, stored

__all__ = ["announce_end", "announce_failed_steps", "announce_starts", "deliveries_of"]

STARTED = ("started",)


def announce_starts(runs: Sequence[Run], now: datetime, *, has_stored_rules: bool) -> None:
    """Tell of the starts of these runs of one workflow, in the transaction that writes them.

    Args:
        has_stored_rules: the answer to `STORED_RULES`.
    """
    rules = _rules(runs[0].workflow, has_stored_rules=has_stored_rules) if runs else []
    rows = [row for run in runs for row in _deliveries(run, rules, STARTED, now, 0)]
    if rows:
        Delivery.objects.bulk_create(rows)
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
    if rows := _deliveries(run, rules, occasions, now, run.version):
        Delivery.objects.bulk_create(rows)


def announce_failed_steps(steps: Iterable[Step]) -> None:
    """Tell of those of these steps that are an ERROR, after the transaction that writes them."""
    for step in steps:
        if step.state == StepState.ERROR:
            _send(signals.step_failed, Step, step=step)


def _send(signal: Any, sender: Any, **about: Any) -> None:
    if signal.has_listeners(sender):
        # It logs what a receiver raises.
        transaction.on_commit(partial(signal.send_robust, sender=sender, **about))


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


def _deliveries(
    run: Run, rules: Sequence[Rule], occasions: Sequence[str], now: datetime, sequence: int
) -> list[Delivery]:
    """The rows of what these rules say, not written yet."""
    return [
        row for rule in rules if (row := _delivery(run, rule, occasions, now, sequence)) is not None
    ]


def _delivery(
    run: Run, rule: Rule, occasions: Sequence[str], now: datetime, sequence: int
) -> Delivery | None:
    if rule.kind == NotificationKind.CODE:
        occasion: str | None = occasions[0]
    else:
        occasion = first_wanted(occasions, rule.on)
    if occasion is None or (rule.for_owner_only and run.owner_id is None):
        return None
    return Delivery(
        run_id=run.pk,
        rule_id=rule.row,
        in_code=rule.row is None,
        occasion=occasion,
        kind=rule.kind,
        target=rule.target,
        lane=rule.lane,
        body=_body(run, occasion, now, sequence),
        due_at=now,
        created_at=now,
    )


def deliveries_of(later: Delivery) -> list[Delivery]:
    """What the rules in code say of a change that a process without that code has written.

    Raises:
        UnknownWorkflow: this process does not have the code either.
    """
    rows = []
    for rule in in_code(later.run.workflow):
        # It did not look for a recovery, because it did not know that anybody wants that.
        occasion = first_wanted((later.occasion,), rule.on)
        if occasion is None or (rule.for_owner_only and later.run.owner_id is None):
            continue
        rows.append(
            Delivery(
                run_id=later.run_id,
                in_code=True,
                occasion=occasion,
                kind=rule.kind,
                target=rule.target,
                lane=rule.lane,
                body=later.body,
                created_at=later.created_at,
            )
        )
    return rows


def _body(run: Run, occasion: str, at: datetime, sequence: int) -> str:
    """The JSON. It has neither the run's parameters nor its result, which may be secret or large.

    Args:
        sequence: grows with each notification of the run, so that receivers can order them.
    """
    return json.dumps(
        {
            "type": f"run.{occasion}",
            "timestamp": at.isoformat(),
            "data": {
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
            },
        },
        ensure_ascii=False,
    )


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
