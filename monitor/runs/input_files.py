"""The files among a run's inputs, for who may see the run."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404

__all__ = ["Input", "InputFile", "file_answer", "inputs_of"]


class InputFile(NamedTuple):
    """A stored file: its place among those of the run, and its storage name."""

    number: int
    stored_as: str

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.stored_as.rpartition("/")[2]


class Input(NamedTuple):
    """A parameter as people may see it. `files` are those that its value names, if it is files."""

    name: str
    value: Any
    files: Sequence[InputFile] = ()


def inputs_of(params: Mapping[str, Any], stored: Sequence[str]) -> list[Input]:
    """The inputs of a run.

    Args:
        params: as people may see them: a file that is a secret is not among them.
        stored: the storage names of the run's files.
    """
    files = {name: InputFile(number, name) for number, name in enumerate(stored)}
    inputs = []
    for name, value in params.items():
        entries = value if isinstance(value, list) else [value]
        found = [files[each] for each in entries if isinstance(each, str) and each in files]
        inputs.append(Input(name, value, found if len(found) == len(entries) else ()))
    return inputs


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
