"""The runs that the page of runs shows: filtered, one page at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from parent.models import Run, RunState

__all__ = ["PageOfRuns", "RunFilter", "page_of"]

PAGE_SIZE = 25
ACTIVE = "active"
STATES = {
    ACTIVE: ("Active", [RunState.PENDING, RunState.STARTED, RunState.PROGRESS]),
    "done": ("Done", [RunState.SUCCESS]),
    "failed": ("Failed", [RunState.FAILURE]),
    "cancelled": ("Cancelled", [RunState.REVOKED]),
}
TIMES = {
    "hour": ("The last hour", timedelta(hours=1)),
    "day": ("The last 24 hours", timedelta(days=1)),
    "week": ("The last 7 days", timedelta(days=7)),
}


class RunFilter(forms.Form):
    """The filters of the page of runs, from its URL."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Id, workflow, message or error"}
        ),
    )
    workflow = forms.ChoiceField(required=False)
    state = forms.ChoiceField(
        required=False,
        choices=[("", "Any state"), *((key, label) for key, (label, _) in STATES.items())],
    )
    since = forms.ChoiceField(
        label="Time",
        required=False,
        choices=[("", "Any time"), *((key, label) for key, (label, _) in TIMES.items())],
    )
    before = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict, *, workflows: Iterable[str]) -> None:
        super().__init__(data)
        field: Any = self.fields["workflow"]
        field.choices = [("", "Any workflow"), *((name, name) for name in workflows)]

    @property
    def narrows(self) -> bool:
        """Whether any filter is set. `before` is not a filter."""
        return any(self.data.get(name) for name in ("q", "workflow", "state", "since"))

    def narrow(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """Those of `runs` that match the filters. Invalid filters are ignored."""
        self.is_valid()
        wanted = self.cleaned_data
        if text := wanted.get("q", "").strip().replace("\0", ""):
            runs = runs.filter(_mentions(text))
        if workflow := wanted.get("workflow"):
            runs = runs.filter(workflow=workflow)
        if state := wanted.get("state"):
            runs = runs.filter(state__in=STATES[state][1])
        if since := wanted.get("since"):
            runs = runs.filter(created_at__gte=timezone.now() - TIMES[since][1])
        return runs

    @property
    def place(self) -> UUID | None:
        """The run after which the page begins."""
        before: UUID | None = self.cleaned_data.get("before")
        return before


def _mentions(text: str) -> Q:
    found = Q(workflow__icontains=text) | Q(message__icontains=text) | Q(error__icontains=text)
    return found | Q(pk__startswith=text.lower())


@dataclass(frozen=True, kw_only=True)
class PageOfRuns:
    """Runs, the newest first. `older`: the run after which the next page begins; None if last."""

    runs: list[Run]
    older: UUID | None


def page_of(
    runs: QuerySet[Run], before: UUID | None, *, among: QuerySet[Run] | None = None
) -> PageOfRuns:
    """The page of `runs` that begins after the run `before`, or at the newest.

    Args:
        among: all runs that the caller may see. `before` may no longer match the filters of
            `runs`. A `before` that is not in `among` is treated as one that does not exist.
    """
    known = runs if among is None else among
    place = before and known.filter(pk=before).values_list("created_at", "pk").first()
    if place:
        created_at, pk = place
        runs = runs.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, pk__lt=pk))
    found = list(runs.order_by("-created_at", "-id")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    return PageOfRuns(runs=found[:PAGE_SIZE], older=found[PAGE_SIZE - 1].pk if more else None)
