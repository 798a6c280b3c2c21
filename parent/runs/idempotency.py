"""Idempotent starts: the same key starts one run, however often it is sent."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.files import File

from parent.errors import KeyReused
from parent.models import Run

__all__ = ["earlier_run", "fingerprint"]


def fingerprint(workflow: str, values: Mapping[str, Any]) -> str:
    """A digest of what a start asks for; a file counts by its name and content."""
    told = {key: _told(value) for key, value in values.items()}
    # As text, whatever it is: what is no JSON is refused later, with its reason.
    text = json.dumps([workflow, told], default=str, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _told(value: Any) -> Any:
    if isinstance(value, list):
        return [_told(part) for part in value]
    return _digest(value) if isinstance(value, File) else value


def _digest(file: "File[Any]") -> list[str | None]:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return [file.name, digest.hexdigest()]


def earlier_run(owner: User | None, key: str, mark: str) -> Run | None:
    """The run that this key of this owner has started, if any.

    Raises:
        KeyReused: it was started with something else.
    """
    runs = Run.objects.defer("params", "files", "result")
    run = runs.filter(owner=owner, idempotency_key=key).first()
    if run is not None and run.fingerprint != mark:
        raise KeyReused(
            f"The idempotency key {key!r} was used for another start: take a new one for this."
        )
    return run
