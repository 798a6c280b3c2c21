"""A result on its own: as JSON, or its beginning for a page."""

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

from children.meta import Status
from monitor.polling.etag import digest_of, not_modified, tagged
from monitor.runs.snapshot import Task
from parent.models import Run
from parent.store.large_results import json_beginning, result_json

__all__ = ["beginning", "is_large", "pretty_beginning", "result_answer"]

BEGINNING = 10_000
"""How many characters of a result a page shows: a browser takes seconds to lay out megabytes."""


def result_answer(request: HttpRequest, task: Task) -> HttpResponse:
    """The result of a successful task, as JSON.

    Raises:
        Http404: it has no result.
    """
    row = task.row
    if row.status != Status.OK:
        raise Http404("This task has no result: it has not ended, or not well.")
    # A task id has only one result.
    digest = digest_of({"task": str(task.task_id), "finished_at": row.finished_at})
    if answer := not_modified(request, digest):
        return answer
    try:
        content = result_json(row)
    except type(row).DoesNotExist:
        raise Http404("This task has just been deleted.") from None
    return tagged(request, digest, HttpResponse(content, content_type="application/json"))


def is_large(run: Run) -> bool:
    """Whether the result was too large to be read with the run."""
    return "result" in run.get_deferred_fields()


def beginning(run: Run) -> dict[str, Any]:
    """The beginning and the size of a large result, for a page."""
    return {
        "beginning": json_beginning(run, BEGINNING),
        "size": run.result_size,
    }


def pretty_beginning(run: Run) -> dict[str, Any]:
    """A result that was read with its run, indented, for a page. `size`: bytes, if it is cut."""
    if run.result is None:
        return {}
    text = json.dumps(run.result, indent=2, ensure_ascii=False)
    if len(text) <= BEGINNING:
        return {"text": text}
    return {"text": text[:BEGINNING] + "…", "size": run.result_size or len(text.encode())}
