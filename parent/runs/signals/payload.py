"""What a signal or an approval takes: its serializer, and the validated values as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.serializers import CharField, ChoiceField, Serializer
from rest_framework.settings import api_settings

from parent.conf import setting
from parent.definition.parameters.params import as_json, validate_by
from parent.definition.parameters.secrets import hide_secrets
from parent.definition.signals import Approval, Awaited, Signal
from parent.errors import InvalidParams
from parent.runs.signals.opening import APPROVE, REJECT

__all__ = ["OF_DECISION", "serializer_of", "shown_values", "values_of"]

LONGEST_COMMENT = 2_000  # characters
OF_DECISION = ("decision", "comment")
"""The fields that every approval has."""


class Decision(Serializer[Any]):
    """What every approval takes, beside the fields of its form."""

    decision = ChoiceField(choices=[APPROVE, REJECT], help_text="`approve` or `reject`.")
    comment = CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=LONGEST_COMMENT,
        style={"base_template": "textarea.html"},
        help_text="Why. The error of a rejection has it.",
    )


def serializer_of(definition: Awaited, given: Mapping[str, Any] | None = None) -> Any:
    """The serializer class of what it takes; None if it takes no values.

    Args:
        given: what it is given: a rejection needs none of the form's fields.
    """
    if isinstance(definition, Signal):
        return definition.params
    form: Any = definition.form if isinstance(definition, Approval) else None
    if form is None or (given is not None and given.get("decision") == REJECT):
        return Decision
    if not (isinstance(form, type) and issubclass(form, Serializer)):
        return form  # a check refuses it
    own = {name: Decision._declared_fields[name] for name in OF_DECISION}
    return type(f"{form.__name__}Decision", (form,), own)


def values_of(definition: Awaited, given: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values, as JSON, as they are stored.

    Raises:
        InvalidParams: with a list of errors for each field.
    """
    kind = serializer_of(definition, given)
    if isinstance(definition, Approval) and kind is Decision:
        form = definition.form() if definition.form is not None else None
        of_form = getattr(form, "fields", {})
        given = {name: value for name, value in given.items() if name not in of_form}
    values = as_json(validate_by(kind, given, unknown=f"{definition.label} takes no such value."))
    if isinstance(definition, Approval):
        decision = {name: values.pop(name) for name in OF_DECISION}
        values = {**decision, "values": values}
    limit, size = setting("SIGNAL_LIMIT"), len(json.dumps(values, ensure_ascii=False).encode())
    if limit and size > limit:
        text = f"It is {size:,} bytes of JSON, and at most {limit:,.0f} are taken. Send less."
        errors = {api_settings.NON_FIELD_ERRORS_KEY: [text]}
        raise InvalidParams(errors)
    return values


def shown_values(definition: Awaited, values: Mapping[str, Any]) -> dict[str, Any]:
    """The stored values as people may see them in the history."""
    if isinstance(definition, Approval):
        form = definition.form() if definition.form is not None else Serializer()
        return {**values, "values": hide_secrets(form, values["values"])}
    kind = serializer_of(definition)
    shown: dict[str, Any] = hide_secrets(kind() if kind else Serializer(), values)
    return shown
