"""The fields of a form as HTML, by DRF's form renderer."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from rest_framework.fields import DateTimeField
from rest_framework.renderers import HTMLFormRenderer
from rest_framework.serializers import Serializer

from children.sanitize import storable

__all__ = ["rendered"]

TEMPLATE_PACK = "monitor/fields"


def rendered(serializer: "Serializer[Any]") -> SafeString:
    """The fields with the values and the errors that the serializer has."""
    style = {"template_pack": TEMPLATE_PACK}
    html = _FormRenderer().render(serializer.data, None, {"style": style})
    # JSON in a field may stand for letters that no page can have.
    return SafeString(storable(html))


class _FormRenderer(HTMLFormRenderer):
    """DRF's own raises where a time is not in the format in which its field writes times."""

    def render_field(self, field: Any, parent_style: Any) -> Any:
        time = (
            field._field
        )  # a bound field passes on its attributes, and has no other way to its class
        if isinstance(time, DateTimeField):
            style = self.default_style[field] | time.style
            if style.get("input_type") == "datetime-local":
                field.value = _time(field.value)
                time.format = None  # it is shown as it is
            elif isinstance(field.value, datetime):
                field.value = time.to_representation(field.value)
        return super().render_field(field, parent_style)


def _time(value: Any) -> Any:
    """The time that a text says as a browser writes it; any other value as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    return value
