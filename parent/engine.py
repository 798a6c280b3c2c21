"""The engine that workflows and their parent tasks call; see `parent.definition.runtime`."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError

from parent.definition.workflow import Workflow
from parent.inline import run_inline_with
from parent.messages.origin import origin_of
from parent.models import Run
from parent.runs.advance import continue_run
from parent.runs.following.canvas import follow_up_of, send_follow_up
from parent.runs.start import start, start_many
from parent.store.outage import retry_while_database_is_down

__all__ = ["Engine"]


class Engine:
    """Implements `Runtime`."""

    def start(self, workflow: Workflow, params: Mapping[str, Any], owner: User | None) -> Run:
        return start(workflow, params, owner=owner)

    def start_many(
        self, workflow: Workflow, params: Iterable[Mapping[str, Any]], owner: User | None
    ) -> list[Run]:
        return start_many(workflow, params, owner=owner)

    def start_or_continue(
        self, workflow: Workflow, params: Mapping[str, Any], run_id: UUID, request: Any
    ) -> None:
        follow_up = follow_up_of(request)
        retry_while_database_is_down(
            f"start {run_id}",
            lambda: _start_or_continue(workflow, params, run_id, follow_up, request),
        )

    def run_inline(self, workflow: Workflow, params: Mapping[str, Any], request: Any) -> Run:
        return run_inline_with(workflow, params, **origin_of(request))


def _start_or_continue(
    workflow: Workflow,
    params: Mapping[str, Any],
    run_id: UUID,
    follow_up: str | None,
    request: Any,
) -> None:
    run = Run.objects.filter(pk=run_id).only("finished_at").first()
    if run is None:
        try:
            start(workflow, params, run_id=run_id, follow_up=follow_up, **origin_of(request))
        except IntegrityError:
            # The message has come twice, and the other delivery has started it.
            if not Run.objects.filter(pk=run_id).exists():
                raise
    elif run.finished_at is None:
        continue_run(run_id)
    else:
        send_follow_up(run_id)
