"""Which of the rows that somebody has ticked in the admin's list an action is about."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest

__all__ = ["ChosenRows"]


class ChosenRows(admin.ModelAdmin):  # type: ignore[type-arg]
    """Leaves out what cannot be the key of a row. Django raises for that, an error 500."""

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = self.model._meta.pk
        given = request.POST.copy()
        keys = [each for each in given.getlist(ACTION_CHECKBOX_NAME) if _can_be(key, each)]
        given.setlist(ACTION_CHECKBOX_NAME, keys)
        request.POST = given  # type: ignore[assignment]
        return super().response_action(request, *args, **kwargs)


def _can_be(key: Any, text: str) -> bool:
    try:
        key.clean(text, None)  # also by the range of the database's integers
    except ValidationError:
        return False
    return "\0" not in text
