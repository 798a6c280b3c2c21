"""A form that is filled with the parameters of an earlier run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext
from rest_framework.fields import (
    DateTimeField,
    HiddenField,
    JSONField,
    ListField,
)
from rest_framework.serializers import ListSerializer

from children.sanitize import clean_text
from monitor.api.body_params import is_structured
from monitor.pages.forms.fields import (
    IN_UTC,
    TakesParams,
    as_text,
    form_serializer,
    is_fieldset,
)
from monitor.pages.forms.rendering import rendered
from monitor.runs.input_files import moment_of
from parent.definition.parameters.secrets import has_secrets
from parent.definition.parameters.size_limits import size_problem
from parent.store.files import takes_files

__all__ = ["LeftOut", "form_like"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A parameter of an earlier run that is not filled in again.

    `field` is the name of the form's field; empty if the form has none.
    """

    label: str
    why: str
    field: str = ""


def form_like(workflow: TakesParams, params: Mapping[str, Any]) -> tuple[SafeString, list[LeftOut]]:
    """The fields as HTML, filled with the stored parameters of a run; and what was left out.

    Files and secrets are left out, and what a person could not enter in the form as it is.
    """
    serializer = form_serializer(workflow)
    left_out = list(_fill(serializer, params))
    return rendered(serializer), left_out


def _fill(serializer: Any, params: Mapping[str, Any], prefix: str = "") -> Iterator[LeftOut]:
    fields = {name: each for name, each in serializer.fields.items() if not each.read_only}
    for name, field in fields.items():
        value = _stored(params, field.source)
        if isinstance(field, HiddenField):
            continue
        if is_fieldset(field):
            yield from _fill(field, value if isinstance(value, Mapping) else {}, f"{prefix}{name}.")
            continue
        why = "" if value in (None, "", [], {}) else _obstacle(field, value)
        if why:
            yield LeftOut(label=str(field.label), why=why, field=prefix + name)
        _set_initial(field, None if why else value)
    known = {field.source.split(".")[0] for field in fields.values()}
    for name in sorted(params.keys() - known):
        yield LeftOut(
            label=prefix + clean_text(name), why=gettext("the workflow no longer takes it")
        )


def _stored(params: Any, source: str) -> Any:
    """The value that a field of this source had; None without one."""
    for name in source.split("."):
        params = params.get(name) if isinstance(params, Mapping) else None
    return params


def _obstacle(field: Any, value: Any) -> str:
    """Why the form cannot be filled with this value; empty if it can."""
    if takes_files(field):
        return gettext("choose the file again")
    if has_secrets(field):
        return gettext("a secret: enter it again")
    if size_problem([value]):
        return gettext("it is too large for a form")
    if not _can_be_entered(field, value):
        return gettext("it cannot be entered in this form")
    return ""


def _can_be_entered(field: Any, value: Any) -> bool:
    """Whether the form would send this value as it is."""
    if isinstance(field, DateTimeField):
        moment = moment_of(value)
        # The browser's field has milliseconds.
        return moment is not None and moment.microsecond % 1_000 == 0
    if is_structured(field) or isinstance(field, JSONField):
        return True
    if isinstance(field, ListField):  # one entry a line
        return isinstance(value, list) and all(map(_is_line, value))
    many_lines = field.style.get("base_template") == "textarea.html"
    return many_lines or not isinstance(value, str) or value.splitlines() == [value]


def _is_line(value: Any) -> bool:
    """Whether a textarea could have this entry in a line of its own."""
    text = str(value)
    return value is not None and bool(text.strip()) and text.splitlines() == [text]


def _set_initial(field: Any, value: Any) -> None:
    """Let the form show this value, which was stored as JSON; None leaves the field blank."""
    if value is None:
        value = [] if isinstance(field, ListField | ListSerializer) else type(field).initial
    elif is_structured(field):
        field.style = field.style | as_text(value)
    elif isinstance(field, DateTimeField) and (moment := moment_of(value)):
        value = moment
        field.style = field.style | IN_UTC
    field.get_initial = lambda: value
