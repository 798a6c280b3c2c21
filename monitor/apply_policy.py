"""What a user may see, start and change, by the project's policy."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404

from children.sanitize import storable
from monitor.policy import policy
from parent.definition.signals import Awaited
from parent.definition.workflow import Workflow, registry
from parent.errors import UnknownSignal, UnknownWorkflow
from parent.models import Run, Schedule, Step
from parent.runs.signals.give import definition_of
from parent.store.run_rows import read_run

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

__all__ = [
    "CHANGE",
    "NOT_FOUND",
    "SEE",
    "find_like",
    "find_mapped_step",
    "find_run",
    "find_schedule",
    "find_to_change",
    "find_to_retry",
    "find_to_signal",
    "find_workflow",
    "may_change_schedules",
    "may_give",
    "may_see",
    "may_see_schedules",
    "may_start",
    "startable",
    "visible_runs",
    "visible_schedules",
]

SEE = "Schedules take the permission parent.view_schedule."
CHANGE = "To change a schedule takes the permission parent.change_schedule."
NOT_FOUND = "There is no such task: its id is wrong, it was deleted, or it is not yours."


def visible_runs(user: "User | AnonymousUser") -> QuerySet[Run]:
    """The runs that this user may see."""
    if user.is_anonymous:
        return Run.objects.none()
    return policy().visible(user, Run.objects.all())


def may_see(user: "User | AnonymousUser", run: Run) -> bool:
    """Whether this run is among the user's `visible_runs`."""
    return not user.is_anonymous and policy().may_see(user, run)


def find_run(user: "User | AnonymousUser", run_id: UUID) -> Run:
    """The run with that id.

    Raises:
        Http404: it does not exist, or this user may not see it.
    """
    run = visible_runs(user).defer("params", "files", "result").filter(pk=run_id).first()
    if run is None:
        raise Http404(NOT_FOUND)
    return run


def find_mapped_step(run: Run, name: str) -> Step:
    """The mapped step of a run with that name, with its counters.

    Raises:
        Http404: the run has no such step, or it is not mapped.
    """
    steps = Step.objects.filter(run=run, name=storable(name))
    step = steps.only("run_id", "index", "name", "chunk", "items").first()
    if step is None:
        raise Http404(f"The run has no step {name!r}.")
    if not step.is_mapped:
        raise Http404(f"The step {name!r} has no items: it is not mapped.")
    return step


def find_like(user: "User | AnonymousUser", workflow: Workflow, run_id: str) -> Run:
    """The run of this workflow with that id, to start another one like it.

    Raises:
        Http404: it does not exist, is of another workflow, or this user may not see it.
    """
    try:
        run = find_run(user, UUID(run_id))
    except ValueError:
        raise Http404(NOT_FOUND) from None
    if run.workflow != workflow.name:
        raise Http404(f"That is not a run of {workflow.name}.")
    return run


def find_to_change(user: "User | AnonymousUser", run_id: UUID) -> Run:
    """The run with that id, for a user who may cancel and delete it.

    Raises:
        Http404: it does not exist, or this user may not see it.
        PermissionDenied: this user may see it, but not change it.
    """
    run = find_run(user, run_id)
    if user.is_anonymous or not policy().may_change(user, run):
        raise PermissionDenied("You may see this run, and not change it.")
    return run


def find_to_retry(user: "User | AnonymousUser", run_id: UUID) -> Run:
    """The run with that id, for a user who may change it and start its workflow.

    Raises:
        Http404, PermissionDenied: as `find_to_change` and `find_workflow` do.
    """
    run = find_to_change(user, run_id)
    find_workflow(user, run.workflow)
    return run


def find_to_signal(user: "User | AnonymousUser", run_id: UUID, name: str) -> Run:
    """The run with that id, for a user who may give it that signal, or decide that approval.

    Whoever has the permission of a signal may give it to any run, also to one that they may not
    see otherwise.

    Raises:
        Http404: the run does not exist, or this user may neither see it nor give it the signal.
        UnknownSignal, UnknownWorkflow: see `definition_of`.
        PermissionDenied: this user may see the run, and not give it the signal.
    """
    run = read_run(run_id)
    if run is None or user.is_anonymous:
        raise Http404(NOT_FOUND)
    sees = policy().may_see(user, run)
    try:
        definition = definition_of(run, name)
    except (UnknownSignal, UnknownWorkflow):
        if sees:
            raise
        raise Http404(NOT_FOUND) from None
    if may_give(user, run, definition):
        return run
    if not sees:
        raise Http404(NOT_FOUND)
    needs = f"it takes the permission {definition.permission}" if definition.permission else ""
    raise PermissionDenied(f"You may see this run, and not give it {name}{needs and f': {needs}'}.")


def may_give(user: "User | AnonymousUser", run: Run, definition: Awaited) -> bool:
    """Whether this user may give this run that signal, or decide that approval."""
    if user.is_anonymous:
        return False
    if definition.permission is not None:
        return user.has_perm(definition.permission)
    rule = policy()
    return rule.may_see(user, run) and rule.may_change(user, run)


def startable(user: "User | AnonymousUser") -> list[Workflow]:
    """The workflows that this user may start."""
    if user.is_anonymous:
        return []
    rule = policy()
    return [workflow for workflow in registry.workflows() if rule.may_start(user, workflow)]


def find_workflow(user: "User | AnonymousUser", name: str) -> Workflow:
    """The workflow with that name, for a user who may start it.

    Raises:
        Http404: there is no such workflow.
        PermissionDenied: this user may not start it.
    """
    try:
        workflow = registry.get(name)
    except UnknownWorkflow:
        known = ", ".join(workflow.name for workflow in startable(user)) or "none"
        message = f"There is no workflow {name!r}; you may start: {known}."
        raise Http404(message) from None
    if user.is_anonymous or not policy().may_start(user, workflow):
        needs = f": it takes the permission {workflow.permission}" if workflow.permission else ""
        raise PermissionDenied(f"You may not start {name}{needs}.")
    return workflow


def may_start(user: "User | AnonymousUser", name: str) -> bool:
    """Whether `find_workflow` finds that workflow for this user."""
    try:
        find_workflow(user, name)
    except (Http404, PermissionDenied):
        return False
    return True


def may_see_schedules(user: "User | AnonymousUser") -> bool:
    """Whether the user may see schedules, of the workflows that they may start."""
    return user.has_perm("parent.view_schedule") or may_change_schedules(user)


def may_change_schedules(user: "User | AnonymousUser") -> bool:
    """Whether the user may also edit, pause and run them."""
    return user.has_perm("parent.change_schedule")


def visible_schedules(user: "User | AnonymousUser") -> QuerySet[Schedule]:
    """The schedules that this user may see.

    Raises:
        PermissionDenied: they may see none at all.
    """
    if not may_see_schedules(user):
        raise PermissionDenied(SEE)
    return Schedule.objects.filter(workflow__in=[each.name for each in startable(user)])


def find_schedule(user: "User | AnonymousUser", pk: int, *, to_change: bool = False) -> Schedule:
    """The schedule with that id.

    Raises:
        Http404: it does not exist, or is of a workflow that this user may not start.
        PermissionDenied: they may not see, or not change, any.
    """
    row = visible_schedules(user).filter(pk=pk).first()
    if row is None:
        raise Http404("There is no such schedule, or you may not start its workflow.")
    if to_change and not may_change_schedules(user):
        raise PermissionDenied(CHANGE)
    return row
