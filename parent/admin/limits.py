"""The admin pages of limits that steps share: sizes that staff set, and who stands in line."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from parent.admin.chosen_rows import ChosenRows
from parent.admin.read_only import ReadOnly
from parent.conf import limit_sizes
from parent.decisions.limit_sizes import parse_size
from parent.models import LimitSize, Place
from parent.runs.concurrency.shared_limits import begin_next_after_commit, in_use, waiting
from parent.store import clock

__all__ = ["LimitSizeAdmin", "PlaceAdmin"]


class LimitSizeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A size in place of the setting's."""

    name = forms.ChoiceField(help_text="The limits in WORKFLOW_LIMITS.")

    class Meta:
        model = LimitSize
        fields = ("name", "size")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            self.fields["name"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
                (name, f"{name}: {size} in the settings") for name, size in limit_sizes().items()
            ]

    def clean_size(self) -> str:
        """Check that this can be a size."""
        given: str = self.cleaned_data["size"]
        try:
            parse_size(given)
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None
        return given.strip()


@admin.register(LimitSize)
class LimitSizeAdmin(ChosenRows):
    """Sizes that staff set. Deleting one resets the limit to the setting."""

    form = LimitSizeForm
    list_display = ["name", "size", "in_settings", "used", "in_line", "edited_by", "edited_at"]
    ordering = ["name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        return [] if obj is None else ["name", "in_settings", "edited_by", "edited_at"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = self.get_readonly_fields(request, obj)
        return ["name", "size", *(name for name in fixed if name != "name")]

    @admin.display(description="in the settings")
    def in_settings(self, row: LimitSize) -> str:
        return str(limit_sizes().get(row.name, "not there: the row has no effect"))

    @admin.display(description="used")
    def used(self, row: LimitSize) -> str:
        try:
            size = parse_size(row.size)
        except ValueError:  # somebody wrote it past the form
            return "cannot be read: the row has no effect"
        return size.use(in_use(row.name, size, clock.now()).count())

    @admin.display(description="in line")
    def in_line(self, row: LimitSize) -> int:
        return waiting(row.name).count()

    def save_model(self, request: HttpRequest, obj: LimitSize, *_: Any) -> None:
        obj.edited_by, obj.edited_at = request.user.get_username(), clock.now()
        with transaction.atomic():
            obj.save()
            begin_next_after_commit([obj.name])

    def delete_model(self, request: HttpRequest, obj: LimitSize) -> None:
        with transaction.atomic():
            super().delete_model(request, obj)
            begin_next_after_commit([obj.name])

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[LimitSize]") -> None:
        names = list(queryset.values_list("name", flat=True))
        with transaction.atomic():
            super().delete_queryset(request, queryset)
            begin_next_after_commit(names)


@admin.register(Place)
class PlaceAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who holds a place, and who waits for one."""

    list_display = ["name", "step", "of_run", "since", "taken_at"]
    list_filter = ["name"]
    search_fields = ["=run_id", "step"]
    ordering = ["name", "since", "pk"]
    show_full_result_count = False

    @admin.display(description="run")
    def of_run(self, row: Place) -> str:
        url = reverse("admin:parent_run_change", args=[row.run_id])
        return format_html('<a href="{}">{}</a>', url, row.run_id)
