"""A form: blank, filled again after errors, and the data that it sends."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from django.core.files import File
from django.http import HttpRequest, QueryDict
from django.utils.safestring import SafeString
from rest_framework.exceptions import ValidationError
from rest_framework.fields import ListField, empty
from rest_framework.serializers import Serializer

from monitor.api.body_params import is_structured
from monitor.http.problems import errors_by_field
from monitor.pages.forms.errors import FormError, beside, form_error
from monitor.pages.forms.fields import IN_UTC, TakesParams, as_text, form_serializer
from monitor.pages.forms.rendering import rendered
from parent.definition.parameters.secrets import has_secrets
from parent.definition.parameters.size_limits import size_problem

__all__ = ["blank_form", "filled_form", "posted"]


def posted(workflow: TakesParams, request: HttpRequest) -> QueryDict:
    """The data of the page's form, with files, in the shape that an API client sends."""
    data = request.POST.copy()
    for name, field in form_serializer(workflow).fields.items():
        if isinstance(field, ListField) and not is_structured(field) and name in data:
            data.setlist(name, [line for line in str(data[name]).splitlines() if line.strip()])
    data.update(cast(Any, request.FILES))
    return data


def blank_form(workflow: TakesParams) -> SafeString:
    """The fields of a workflow's form as HTML, filled with the defaults."""
    serializer = form_serializer(workflow)
    for field in serializer.fields.values():
        if field.default is not empty and not callable(field.default):
            field.initial = field.default
        if is_structured(field) and isinstance(field, Serializer):
            _show_as_a_whole(field)
        if isinstance(field.initial, datetime):
            field.initial = field.initial.astimezone(UTC)
            field.style = field.style | IN_UTC
    return rendered(serializer)


def _show_as_a_whole(field: Any) -> None:
    """Let a group that the form shows as JSON have its own initial value.

    DRF would make one of the blanks inside, which people would have to remove.
    """
    value = field.initial() if callable(field.initial) else field.initial
    field.get_initial = dict
    if value:
        field.style = field.style | as_text(value)


def filled_form(
    workflow: TakesParams, params: Mapping[str, Any], errors: Mapping[str, Any]
) -> tuple[SafeString, list[FormError]]:
    """The fields as HTML, filled with `params`, with `errors` beside them; and the errors."""
    # A value that is too large to be validated is not shown again.
    shown = {name: value for name, value in params.items() if not size_problem([value])}
    shown = {
        name: _without_secrets(workflow, name, value)
        for name, value in _without_files(shown).items()
    }
    serializer = form_serializer(workflow, shown)

    def found(_data: Any) -> None:
        raise ValidationError(beside(serializer, errors))

    # In place of its own validation, which does not find all errors, and fails on some values.
    serializer.run_validation = found  # type: ignore[method-assign, assignment]
    serializer.is_valid()
    found_errors = [
        form_error(serializer, path, text)
        for path, texts in errors_by_field(errors).items()
        for text in texts
    ]
    return rendered(serializer), found_errors


def _without_files(value: Any) -> Any:
    """A value to show again. Files have to be chosen again, also those in place of a text."""
    if isinstance(value, Mapping):
        kept = {name: part for name, part in value.items() if not isinstance(part, File)}
        return {name: _without_files(part) for name, part in kept.items()}
    if isinstance(value, list):
        return [_without_files(part) for part in value if not isinstance(part, File)]
    return value


def _without_secrets(workflow: TakesParams, name: str, value: Any) -> Any:
    """A value to show again. One with a secret in it has to be entered again."""
    field = getattr(form_serializer(workflow), "fields", {}).get(name)
    if field is None or not has_secrets(field):
        return value
    if isinstance(field, Serializer) and isinstance(value, Mapping):
        # The form shows its fields one by one.
        return {
            key: part
            for key, part in value.items()
            if key not in field.fields or not has_secrets(field.fields[key])
        }
    return ""
