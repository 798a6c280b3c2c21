"""The policy: who may see, start and change what. A project may replace it."""

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
    """The class that `WORKFLOW_POLICY` names. Each question gets a new instance.

    Only users who are logged in are asked about.
    """

    def visible(self, user: "User", runs: QuerySet[Run]) -> QuerySet[Run]:
        """Those of `runs` that the user may see. All others are a 404 for this user."""

    def may_see(self, user: "User", run: Run) -> bool:
        """The same for one run. Each poll calls this, so it should not query the database."""

    def may_start(self, user: "User", workflow: Workflow) -> bool:
        """Whether the user may start and retry runs of this workflow, and sees it in lists."""

    def may_change(self, user: "User", run: Run) -> bool:
        """Whether the user, who may see this run, may also cancel, retry and delete it."""


def is_staff(user: object) -> bool:
    """Whether they are of the staff. A project's model of users may know no staff."""
    return bool(getattr(user, "is_staff", False))


class OwnerOrStaff:
    """Owners see and change their own runs; staff all, including those without an owner.

    A workflow may be started by users who have its permission; by all if it names none.
    """

    def visible(self, user: "User", runs: QuerySet[Run]) -> QuerySet[Run]:
        return runs if is_staff(user) else runs.filter(owner=user)

    def may_see(self, user: "User", run: Run) -> bool:
        return is_staff(user) or run.owner_id == user.pk

    def may_start(self, user: "User", workflow: Workflow) -> bool:
        return workflow.permission is None or user.has_perm(workflow.permission)

    def may_change(self, user: "User", run: Run) -> bool:
        return self.may_see(user, run)


def policy() -> Policy:
    """The project's policy."""
    made: Policy = import_string(getattr(settings, "WORKFLOW_POLICY", DEFAULT))()
    return made
