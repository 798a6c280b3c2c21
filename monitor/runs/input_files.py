"""A run's inputs with their files and times, for who may see the run."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404
from rest_framework.fields import DateTimeField

from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow

__all__ = ["Input", "InputFile", "file_answer", "inputs_of", "moment_of", "names_of_times"]


class InputFile(NamedTuple):
    """A stored file: its place among those of the run, and its storage name."""

    number: int
    stored_as: str

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.stored_as.rpartition("/")[2]


class Input(NamedTuple):
    """A parameter as people may see it.

    `files` are those that its value names, if it is files. `at` is the moment that it says, if it
    is a time.
    """

    name: str
    value: Any
    files: Sequence[InputFile] = ()
    at: datetime | None = None


def inputs_of(
    params: Mapping[str, Any], stored: Sequence[str], times: Collection[str] = ()
) -> list[Input]:
    """The inputs of a run.

    Args:
        params: as people may see them: a file that is a secret is not among them.
        stored: the storage names of the run's files.
        times: the names of the parameters that are times.
    """
    files = {name: InputFile(number, name) for number, name in enumerate(stored)}
    inputs = []
    for name, value in params.items():
        entries = value if isinstance(value, list) else [value]
        found = [files[each] for each in entries if isinstance(each, str) and each in files]
        inputs.append(
            Input(
                name,
                value,
                files=found if len(found) == len(entries) else (),
                at=moment_of(value) if name in times else None,
            )
        )
    return inputs


def names_of_times(workflow: str) -> set[str]:
    """The names of the workflow's parameters that are times; none of an unknown workflow."""
    try:
        params = registry.get(workflow).params
    except UnknownWorkflow:
        return set()
    fields = getattr(params and params(), "fields", {})
    return {name for name, field in fields.items() if isinstance(field, DateTimeField)}


def moment_of(value: Any) -> datetime | None:
    """The time that a stored value says, in UTC; None if it says none."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def file_answer(inputs: Sequence[Input], number: int) -> FileResponse:
    """The file of that number among these inputs, for a browser to save and never to show.

    Raises:
        Http404: the inputs have no such file, or it is no longer stored.
    """
    files = {file.number: file for each in inputs for file in each.files}
    try:
        file = files[number]
        content = default_storage.open(file.stored_as)
    except (KeyError, FileNotFoundError):
        text = "There is no such file: it was deleted, or is not among the run's inputs."
        raise Http404(text) from None
    answer = FileResponse(
        content,
        as_attachment=True,
        filename=file.name,
        content_type="application/octet-stream",
    )
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
