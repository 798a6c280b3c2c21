"""What is done to many runs at once: which of them allow it, doing it, and what came of each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from rest_framework.exceptions import Throttled

from monitor.apply_policy import may_start, visible_runs
from monitor.http.throttles import count_start
from monitor.policy import policy
from monitor.texts.sentences import in_readers_language
from parent.deletion.delete import delete_run
from parent.errors import CannotRetry, InsideRun, InvalidRetry, RunActive, RunEnded, UnknownRun
from parent.models import Run, RunState
from parent.runs.cancel import cancel
from parent.runs.user_retry.retry import retry

__all__ = ["ACTIONS", "MOST", "Action", "Outcome", "Plan", "carry_out", "plan_for", "runs_with"]

MOST = 200
"""Runs of one request: each is a transaction of its own, and a person waits for all of them."""

REFUSALS = (CannotRetry, InsideRun, InvalidRetry, RunActive, RunEnded, UnknownRun, Throttled)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A run, and why the action is refused; empty if it is not, or was done."""

    run: Run
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an action would do to these runs."""

    action: "Action"
    outcomes: Sequence[Outcome]
    ready: Sequence[Outcome] = field(init=False)
    refused: Sequence[Outcome] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ready", [each for each in self.outcomes if not each.refused])
        object.__setattr__(self, "refused", [each for each in self.outcomes if each.refused])

    @property
    def question(self) -> str:
        return self.action.question(len(self.ready))

    @property
    def done(self) -> str:
        return self.action.done(len(self.ready))


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One of the actions.

    Args:
        question: what would be done to so many runs, for the page and its button.
        done: what was done.
        obstacle: why a run cannot have it, for this user; empty if it can.
        act: does it; the last argument is the user's name.
    """

    question: Callable[[int], str]
    done: Callable[[int], str]
    obstacle: Callable[[User, Run], str]
    act: Callable[[HttpRequest, Run, str], Any]
    is_final: bool = False


def runs_with(user: User, ids: Iterable[UUID]) -> list[Run]:
    """Those of the runs with these ids that the user may see, the newest first."""
    found = visible_runs(user).filter(pk__in=[*ids]).select_related("owner")
    return list(found.defer("params", "files", "result").order_by("-created_at", "-id"))


def plan_for(action: Action, user: User, runs: Iterable[Run]) -> Plan:
    """What the action would do to each of these runs, which the user may see."""
    rule = policy()
    outcomes = []
    for run in runs:
        allowed = rule.may_change(user, run)
        why = action.obstacle(user, run) if allowed else gettext("You may not change this run.")
        outcomes.append(Outcome(run=run, refused=why))
    return Plan(action=action, outcomes=outcomes)


def carry_out(plan: Plan, request: HttpRequest) -> Plan:
    """Do it, to each run by itself. What is refused in the meantime stops no other run."""
    who = request.user.get_username()
    outcomes = []
    for each in plan.outcomes:
        refused = each.refused
        if not refused:
            try:
                plan.action.act(request, each.run, who)
            except REFUSALS as exc:
                refused = in_readers_language(str(exc))
        outcomes.append(Outcome(run=each.run, refused=refused))
    return Plan(action=plan.action, outcomes=outcomes)


def _cannot_cancel(_user: User, run: Run) -> str:
    if run.ended:
        return gettext("It has ended already.")
    return gettext("It is being cancelled already.") if run.cancel_requested_at else ""


def _cannot_retry(user: User, run: Run) -> str:
    if run.is_child:
        return gettext("It is a step of another run: retry that.")
    if run.state == RunState.SUCCESS:
        return gettext("It is done: there is nothing to retry.")
    if not run.ended:
        return gettext("It has not ended yet.")
    return "" if may_start(user, run.workflow) else gettext("You may not start this workflow.")


def _cannot_delete(_user: User, run: Run) -> str:
    if run.is_child:
        return gettext("It is a step of another run, with which it is deleted.")
    return "" if run.ended else gettext("It has not ended yet.")


def _cancel(_request: HttpRequest, run: Run, who: str) -> None:
    cancel(run.pk, who=who)


def _retry(request: HttpRequest, run: Run, who: str) -> None:
    count_start(request)
    retry(run.pk, who=who)


def _delete(_request: HttpRequest, run: Run, _who: str) -> None:
    delete_run(run)


ACTIONS = {
    "cancel": Action(
        question=lambda n: ngettext("Cancel {n} run", "Cancel {n} runs", n).format(n=n),
        done=lambda n: ngettext("{n} run cancelled", "{n} runs cancelled", n).format(n=n),
        obstacle=_cannot_cancel,
        act=_cancel,
    ),
    "retry": Action(
        question=lambda n: ngettext("Retry {n} run", "Retry {n} runs", n).format(n=n),
        done=lambda n: ngettext("{n} run retried", "{n} runs retried", n).format(n=n),
        obstacle=_cannot_retry,
        act=_retry,
    ),
    "delete": Action(
        question=lambda n: ngettext("Delete {n} run", "Delete {n} runs", n).format(n=n),
        done=lambda n: ngettext("{n} run deleted", "{n} runs deleted", n).format(n=n),
        obstacle=_cannot_delete,
        act=_delete,
        is_final=True,
    ),
}
