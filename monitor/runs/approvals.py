"""Approvals that wait, who may decide them, and the signed link for one decision."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core import signing
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from monitor.apply_policy import may_give, may_see, visible_runs
from monitor.http.namespace import APP_NAME, public_url
from monitor.runs.titles import step_titles, workflow_title
from parent.conf import interval
from parent.definition.signals import Approval, awaited_steps
from parent.definition.workflow import registry
from parent.errors import UnknownSignal, UnknownWorkflow
from parent.models import Awaits, Run, Schedule, Step, StepState
from parent.runs.signals.give import definition_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

__all__ = [
    "Asked",
    "LinkedTo",
    "MailPages",
    "NoLink",
    "asked_of",
    "closable_of",
    "decision_path",
    "linked_to",
    "seconds_left",
    "waiting_for",
]

SALT = "monitor.decision"
MOST = 100
LARGE = ("run__params", "run__files", "run__result", "result", "kwargs", "checkpoint", "traceback")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """An approval that waits for this caller.

    `left`: seconds until it is too late; None if it never is. `sees_run`: whether they may open
    the run's page.
    """

    run: Run
    name: str
    title: str
    workflow: str
    since: datetime | None
    left: float | None
    sees_run: bool


@dataclass(frozen=True, slots=True)
class LinkedTo:
    """What a signed link is for: an approval, as it was asked at one time, and its user."""

    step: Step
    user: "User"


class NoLink(Exception):
    """The link cannot be used; the message says why."""


def waiting_for(user: "User | AnonymousUser", *, most: int = MOST) -> list[Asked]:
    """The approvals that this user may decide now, those that have waited longest first."""
    if user.is_anonymous:
        return []
    names = Q(pk__in=[])
    visible = visible_runs(user).values("pk")
    for workflow in registry.workflows():
        for step in awaited_steps(workflow):
            if isinstance(step, Approval) and _may_try(user, step):
                mine = Q(run__workflow=workflow.name, name=step.label)
                names |= mine if step.permission else mine & Q(run__in=visible)
    steps = _asked_steps().filter(names).order_by("queued_at")
    return list(_asked(user, steps[:most]))


def asked_of(user: "User | AnonymousUser", run: Run) -> list[Asked]:
    """The approvals of this run that this user may decide now."""
    return list(_asked(user, _asked_steps().filter(run=run).order_by("index")))


def closable_of(user: "User | AnonymousUser", run: Run, steps: Sequence[Step]) -> list[Step]:
    """The open signals that feed mapped steps of this run, and that this user may close."""
    fed = {step.fed_by for step in steps if step.fed_by}
    found = []
    for step in steps:
        if step.name not in fed or step.state not in (StepState.WAITING, StepState.RUNNING):
            continue
        with suppress(UnknownSignal, UnknownWorkflow):  # another version of the code started it
            if may_give(user, run, definition_of(run, step.name)):
                found.append(step)
    return found


def _may_try(user: "User", step: Approval) -> bool:
    return step.permission is None or user.has_perm(step.permission)


def _asked_steps() -> Any:
    steps = Step.objects.filter(state=StepState.RUNNING, awaits=Awaits.APPROVAL)
    return steps.select_related("run", "run__owner").defer(*LARGE)


def _asked(user: "User | AnonymousUser", steps: Any) -> Iterator[Asked]:
    for step in steps:
        try:
            definition = definition_of(step.run, step.name)
        except (UnknownSignal, UnknownWorkflow):
            continue  # another version of the code has started the run
        if may_give(user, step.run, definition):
            yield Asked(
                run=step.run,
                name=step.name,
                title=step_titles(step.run.workflow, [step.name])[step.name],
                workflow=workflow_title(step.run.workflow),
                since=step.queued_at,
                left=seconds_left(step, timezone.now()),
                sees_run=may_see(user, step.run),
            )


def seconds_left(step: Step, now: datetime) -> float | None:
    """Until it is too late to decide; None if it never is."""
    return None if step.due_at is None else max(0.0, (step.due_at - now).total_seconds())


def decision_path(step: Step, user: "User", *, namespace: str = APP_NAME) -> str:
    """The path of a page where this user may decide this approval once, without a login.

    A mail may carry it. It is for the approval as it is asked now: a retry that asks again makes
    it invalid, and so does `WORKFLOW_DECISION_LINK_AGE`. It can do no more than the user may.
    """
    return reverse(f"{namespace}:decide", args=[_token(step, user)])


def _token(step: Step, user: "User") -> str:
    return signing.dumps([str(step.task_id), str(user.pk)], salt=SALT)


class MailPages:
    """The pages whose addresses an e-mail may have; see `parent.notifications.email.Pages`."""

    def decision(self, step: Step, user: "User") -> str | None:
        """The address of the page where this user may decide this approval without a login."""
        if not (user.is_active and may_give(user, step.run, definition_of(step.run, step.name))):
            return None
        return public_url("decide", _token(step, user))

    def schedule(self, schedule: Schedule) -> str | None:
        """The address of this schedule's page."""
        return public_url("timetable-entry", schedule.pk)


def linked_to(token: str) -> LinkedTo:
    """What a signed link is for.

    Raises:
        NoLink: it is not one of ours, is too old, is of an earlier time, or its user may not
            decide any more.
    """
    try:
        age = timedelta(seconds=interval("DECISION_LINK_AGE"))
        task_id, pk = signing.loads(token, salt=SALT, max_age=age)
    except signing.SignatureExpired:
        raise NoLink(gettext("This link is too old. Sign in to decide.")) from None
    except (signing.BadSignature, ValueError):
        raise NoLink(gettext("This link is not complete. Copy all of it from the mail.")) from None
    step = Step.objects.select_related("run", "run__owner").defer(*LARGE).filter(task_id=task_id)
    found = step.first()
    if found is None:
        raise NoLink(gettext("This link is of an earlier time: the run was retried or deleted."))
    user: Any = get_user_model()._default_manager.filter(pk=pk, is_active=True).first()
    if user is None or not may_give(user, found.run, definition_of(found.run, found.name)):
        raise NoLink(gettext("The user of this link may not decide this any more."))
    return LinkedTo(found, user)
