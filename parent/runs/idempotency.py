"""Idempotent starts: several starts with the same key are one run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.files import File

from parent.definition.parameters.params import Encoder
from parent.errors import KeyReused
from parent.models import Run

__all__ = ["earlier_run", "fingerprint"]


def fingerprint(workflow: str, values: Mapping[str, Any]) -> str:
    """A digest of a start's workflow and parameters; a file counts by its name and content."""
    content = {key: _with_file_digests(value) for key, value in values.items()}
    # `default=str`: values that are not JSON are refused later, with an error for each.
    text = json.dumps([workflow, content], default=_text, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _text(value: object) -> Any:
    """The value as it is stored, if JSON can hold it; else its text.

    Not the text of each value: that of a set has no fixed order, and two instances of a model may
    have the same one.
    """
    try:
        return Encoder().default(value)
    except TypeError:
        return str(value)


def _with_file_digests(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_file_digests(part) for part in value]
    return _file_digest(value) if isinstance(value, File) else value


def _file_digest(file: "File[Any]") -> list[str | None]:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return [file.name, digest.hexdigest()]


def earlier_run(owner: User | None, key: str, start_fingerprint: str) -> Run | None:
    """The run that this owner has started with this key, if any.

    Raises:
        KeyReused: that start had another fingerprint.
    """
    runs = Run.objects.defer("params", "files", "result")
    run = runs.filter(owner=owner, idempotency_key=key).first()
    if run is not None and run.fingerprint != start_fingerprint:
        raise KeyReused(
            f"The idempotency key {key!r} was used for another start: take a new one for this."
        )
    return run
