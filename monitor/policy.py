"""Who may see, start and change what: the rule, which a project may put its own in place of."""

from typing import TYPE_CHECKING, Protocol

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from parent.definition.workflow import Workflow
from parent.models import Run

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["DEFAULT", "OwnerOrStaff", "Policy", "policy"]

DEFAULT = "monitor.policy.OwnerOrStaff"


class Policy(Protocol):
    """The class that `WORKFLOW_POLICY` names. It is made anew for each question.

    It is asked only about users who are signed in.
    """

    def visible(self, user: "User", runs: QuerySet[Run]) -> QuerySet[Run]:
        """Those of `runs` that the user may see. All others do not exist for them (404)."""

    def may_see(self, user: "User", run: Run) -> bool:
        """The same of one run that was read already: polls ask it, and it should ask nobody."""

    def may_start(self, user: "User", workflow: Workflow) -> bool:
        """Whether the user may start and retry runs of this workflow; else it is not listed."""

    def may_change(self, user: "User", run: Run) -> bool:
        """Whether the user may cancel, retry and delete this run, which they may see."""


class OwnerOrStaff:
    """Runs are their owner's and staff's; nobody's are staff's. Workflows are for those who
    have their permission, and for all where they name none.
    """

    def visible(self, user: "User", runs: QuerySet[Run]) -> QuerySet[Run]:
        return runs if user.is_staff else runs.filter(owner=user)

    def may_see(self, user: "User", run: Run) -> bool:
        return user.is_staff or run.owner_id == user.pk

    def may_start(self, user: "User", workflow: Workflow) -> bool:
        return workflow.permission is None or user.has_perm(workflow.permission)

    def may_change(self, user: "User", run: Run) -> bool:
        return self.may_see(user, run)


def policy() -> Policy:
    """The project's rule."""
    made: Policy = import_string(getattr(settings, "WORKFLOW_POLICY", DEFAULT))()
    return made
