"""What a notification says: the same JSON for webhooks and for the texts of e-mails."""

import json
from datetime import datetime
from typing import Any

from parent.conf import run_url
from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow
from parent.models import Run

__all__ = ["body_of"]


def body_of(run: Run, occasion: str, at: datetime, sequence: int) -> str:
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
                "url": link_to(run),
            },
        },
        ensure_ascii=False,
    )


def link_to(run: Run) -> str | None:
    """The address of the run's page; None if no setting says where it is."""
    return run_url().replace("{id}", str(run.pk)) or None


def _title(workflow: str) -> str:
    try:
        return registry.get(workflow).shown_title
    except UnknownWorkflow:
        return workflow


def _text(at: Any) -> str | None:
    return at.isoformat() if isinstance(at, datetime) else None
