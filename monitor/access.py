"""Who sees which runs: the owner their own, staff all."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404

from parent.models import Run, Step

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

__all__ = ["find", "find_run", "may_see", "visible_runs", "with_steps"]

NOT_FOUND = "There is no such task: its id is wrong, it was deleted, or it is not yours."


def visible_runs(user: "User | AnonymousUser") -> QuerySet[Run]:
    """The runs that this user may know of. Nobody's runs are for staff."""
    if user.is_anonymous:
        return Run.objects.none()
    return Run.objects.all() if user.is_staff else Run.objects.filter(owner=user)


def may_see(user: "User | AnonymousUser", run: Run) -> bool:
    """Whether this run is among the user's `visible_runs`."""
    return user.is_staff or (user.is_authenticated and run.owner_id == user.pk)


def with_steps(runs: QuerySet[Run]) -> QuerySet[Run]:
    """These runs with their steps: two statements, without the columns that no status shows."""
    steps = Step.objects.defer("kwargs", "given", "result", "traceback")
    return runs.defer("params", "files").prefetch_related(Prefetch("steps", queryset=steps))


def find_run(user: "User | AnonymousUser", run_id: UUID) -> Run:
    """The run of that id.

    Raises:
        Http404: it does not exist, or this user may not know of it.
    """
    run = visible_runs(user).filter(pk=run_id).first()
    if run is None:
        raise Http404(NOT_FOUND)
    return run


def find(user: "User | AnonymousUser", task_id: UUID) -> tuple[Run, Step | None]:
    """The run of that id, or a child's run and the child's step. Two statements.

    Raises:
        Http404: it does not exist, or this user may not know of it.
    """
    of_child = Step.objects.filter(task_id=str(task_id)).values("run")[:1]
    run = with_steps(visible_runs(user)).filter(Q(pk=task_id) | Q(pk=of_child)).first()
    if run is None:
        raise Http404(NOT_FOUND)
    if run.pk == task_id:
        return run, None
    for step in run.steps.all():
        if step.task_id == str(task_id):
            return run, step
    # A new attempt has taken the step between the two statements.
    raise Http404(NOT_FOUND)
