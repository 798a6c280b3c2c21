"""Starting a run for somebody over HTTP: a new one, or the one that a limit allows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.contrib.auth.models import User

from monitor.apply_policy import may_see
from parent.definition.workflow import Workflow
from parent.errors import AlreadyRunning
from parent.models import Run
from parent.runs.start import start

__all__ = ["Started", "start_for"]


class Started(NamedTuple):
    """The run. `instead`: why it is not a new one, "skipped" or "existing" as `when_full` says."""

    run: Run
    instead: str = ""


def start_for(
    user: User, workflow: Workflow, params: Mapping[str, Any], *, idempotency_key: str | None = None
) -> Started:
    """Start a run whose owner is this user.

    Raises:
        AlreadyRunning: the run that is there instead is not one that the user may see.
        InvalidParams, KeyReused: as `start` does.
    """
    try:
        run = start(workflow, params, owner=user, idempotency_key=idempotency_key)
        started = Started(run, "existing" if run.was_there else "")
    except AlreadyRunning as exc:
        started = Started(exc.run, "skipped")
    if started.instead and not may_see(user, started.run):
        raise AlreadyRunning(
            "A run of somebody else goes on already, and no other may: start it again later.",
            started.run,
        )
    return started
