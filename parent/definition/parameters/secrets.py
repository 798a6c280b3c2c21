"""Values of parameters that nobody should see again, such as passwords.

They are what the serializer's author marks: a field with `style={"input_type": "password"}`, or
with `write_only=True`.
"""

import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from rest_framework.serializers import Serializer

from parent.definition.parent_task import NAME_PREFIX
from parent.definition.workflow import registry
from parent.errors import UnknownWorkflow
from parent.models import Item, Run, Step
from parent.store.large_results import json_beginning

__all__ = [
    "HIDDEN",
    "has_secrets",
    "hide_secrets",
    "masked",
    "secrets_inside",
    "secrets_of",
    "shown_beginning",
    "shown_params",
    "workflow_has_secrets",
]

HIDDEN = "••••••"


MOST_WRITTEN = 12
"""The characters of a secret's character in JSON, at most: two escapes of six."""


class WithParams(Protocol):
    """A row that has the parameters of a workflow: a run, or a schedule."""

    workflow: Any
    params: Any


def is_secret(field: Any) -> bool:
    """Whether this field's value is a secret."""
    return bool(field.write_only or field.style.get("input_type") == "password")


def has_secrets(field: Any) -> bool:
    """Whether this field or one inside it is a secret."""
    return is_secret(field) or any(has_secrets(part) for part in _parts(field).values())


def hide_secrets(field: Any, value: Any) -> Any:
    """The value of a field, with `HIDDEN` in the place of each secret.

    Text in the place of an object or a list, such as JSON with an error, is hidden as a whole where
    there could be a secret in it.
    """
    if is_secret(field):
        return HIDDEN
    parts = _parts(field)
    if not any(has_secrets(part) for part in parts.values()):
        return value
    if isinstance(value, Mapping):
        either = parts.get("*")
        return {
            name: part if (inner := parts.get(name, either)) is None else hide_secrets(inner, part)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple) and "*" in parts:
        return [hide_secrets(parts["*"], part) for part in value]
    return HIDDEN


def shown_params(run: WithParams) -> dict[str, Any]:
    """The parameters of a run or a schedule as people may see them."""
    shown: dict[str, Any] = hide_secrets(_serializer(run), run.params)
    return shown


def secrets_of(run: WithParams) -> set[str]:
    """The secret values among the parameters of a run, as text."""
    serializer = _serializer(run)
    # Parameters may be large: they are read only if there can be a secret in them.
    return set(_secret_texts(serializer, run.params)) if has_secrets(serializer) else set()


def secrets_inside(child: Step | Item) -> set[str]:
    """The secrets of the child's run; of a child that is a run itself, those of its inputs too."""
    found = secrets_of(child.run)
    if child.task.startswith(NAME_PREFIX):
        serializer = _serializer_of(child.task.removeprefix(NAME_PREFIX))
        if has_secrets(serializer):
            found |= set(_secret_texts(serializer, child.kwargs))
    return found


def shown_beginning(
    row: Run | Step | Item, length: int, column: str, secrets: AbstractSet[str] = frozenset()
) -> str:
    """The first `length` characters of a JSON column, without these secrets; see `json_beginning`.

    A secret at the cut is hidden too: as much is read as it could be long.
    """
    longest = max((MOST_WRITTEN * len(secret) for secret in secrets), default=0)
    shown = masked(json_beginning(row, length + longest, column), secrets)
    return shown if len(shown) <= length else f"{shown[:length].removesuffix('…')}…"


def masked(text: str, secrets: AbstractSet[str]) -> str:
    """The text, which may be JSON, without these secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        for written in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        ):
            text = text.replace(written, HIDDEN)
    return text


def workflow_has_secrets(name: str) -> bool:
    """Whether a run of this workflow may have secrets among its parameters."""
    return has_secrets(_serializer_of(name))


def _serializer(run: WithParams) -> Any:
    return _serializer_of(run.workflow)


def _serializer_of(workflow: str) -> Any:
    """The serializer of a workflow; an empty one if this process does not know it."""
    try:
        kind: Any = registry.get(workflow).params
    except UnknownWorkflow:
        kind = None
    return (kind or Serializer)()


def _secret_texts(field: Any, value: Any) -> Iterator[str]:
    if is_secret(field):
        if value not in (None, "", True, False):
            yield str(value)
        return
    parts = _parts(field)
    if isinstance(value, Mapping):
        for name, part in value.items():
            if inner := parts.get(name, parts.get("*")):
                yield from _secret_texts(inner, part)
    elif isinstance(value, list | tuple) and "*" in parts:
        for part in value:
            yield from _secret_texts(parts["*"], part)


def _parts(field: Any) -> dict[str, Any]:
    """The fields inside a field by name; that of all entries is called `*`."""
    if (child := getattr(field, "child", None)) is not None:
        return {"*": child}
    return dict(getattr(field, "fields", {}))
