"""Errors in a form: beside their fields, and in a list above it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from rest_framework.fields import (
    ListField,
)
from rest_framework.serializers import Serializer

from children.sanitize import clean_text
from monitor.http.problems import NO_FIELD, errors_by_field
from monitor.pages.forms.fields import is_fieldset

__all__ = ["FormError", "beside", "form_error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FormError:
    """A sentence that says what is wrong, with the name and the label of the form's field.

    Both are empty if the form has no such field.
    """

    text: str
    field: str = ""
    label: str = ""


def form_error(serializer: "Serializer[Any]", path: str, text: str) -> FormError:
    field: Any = serializer
    names: list[str] = []
    rest = path.split(".")
    while is_fieldset(field) and rest and rest[0] in field.fields:
        names.append(rest[0])
        field = field.fields[rest.pop(0)]
    if is_fieldset(field):  # the form has no place for it
        whole = path in (NO_FIELD, "")
        return FormError(text=text if whole else f"{path}: {text}")
    entry = f"{_entry(field, '.'.join(rest))}: " if rest else ""
    return FormError(field=".".join(names), label=str(field.label), text=entry + text)


def beside(field: Any, errors: Any) -> Any:
    """The errors as the form shows them: a list of sentences for each field."""
    if is_fieldset(field) and isinstance(errors, Mapping):
        return {name: beside(field.fields.get(name), details) for name, details in errors.items()}
    return [
        text if path == NO_FIELD else f"{_entry(field, path)}: {text}"
        for path, texts in errors_by_field(errors).items()
        for text in texts
    ]


def _entry(field: object, path: str) -> str:
    """A place in the field; the entries of a list count from 1."""
    if isinstance(field, ListField) and path.isdecimal():
        return gettext("Entry {number}").format(number=int(path) + 1)
    return clean_text(path)
