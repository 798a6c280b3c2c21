"""The runs that the page of runs shows: filtered, one page at a time."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitor.runs.titles import titles_with, workflow_title
from parent.models import Attempt, Item, Run, RunState, Step

__all__ = ["STATES", "PageOfRuns", "RunFilter", "in_state", "page_of"]

PAGE_SIZE = 25
BEGINNING_OF_ID = re.compile(r"[0-9a-fA-F-]{4,36}")
ACTIVE = "active"
NOBODY = "nobody"
"""What the list shows, and the filter takes, for the owner of a run without one."""
NARROWING = ("q", "workflow", "state", "since", "owner", "day")
STATES = {
    ACTIVE: (_("Active"), [RunState.PENDING, RunState.STARTED, RunState.PROGRESS]),
    "done": (_("Done"), [RunState.SUCCESS]),
    "failed": (_("Failed"), [RunState.FAILURE]),
    "cancelled": (_("Cancelled"), [RunState.REVOKED]),
}
TIMES = {
    "hour": (_("The last hour"), timedelta(hours=1)),
    "day": (_("The last 24 hours"), timedelta(days=1)),
    "week": (_("The last 7 days"), timedelta(days=7)),
}


class RunFilter(forms.Form):
    """The filters of the page of runs, from its URL."""

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={
                "type": "search",
                "placeholder": _("Id of a run or child, workflow, message or error"),
            }
        ),
    )
    workflow = forms.ChoiceField(label=_("Workflow"), required=False)
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[("", _("Any state")), *((key, label) for key, (label, _) in STATES.items())],
    )
    since = forms.ChoiceField(
        label=_("Time"),
        required=False,
        choices=[("", _("Any time")), *((key, label) for key, (label, _) in TIMES.items())],
    )
    owner = forms.CharField(
        label=_("Started by"),
        required=False,
        max_length=254,
        widget=forms.TextInput(attrs={"placeholder": _("User name")}),
    )
    day = forms.DateField(
        label=_("Jump to a day"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    child_runs = forms.BooleanField(required=False, widget=forms.HiddenInput)
    before = forms.UUIDField(required=False, widget=forms.HiddenInput)
    after = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict, *, workflows: Iterable[str], owners: bool = False) -> None:
        """The filters in the query of a URL.

        Args:
            workflows: the names to choose from.
            owners: whether there is a filter by owner: for users who see runs of others.
        """
        super().__init__(data)
        if not owners:
            del self.fields["owner"]
        field: Any = self.fields["workflow"]
        names = [(name, workflow_title(name)) for name in workflows]
        field.choices = [("", _("Any workflow")), *names]

    @property
    def narrows(self) -> bool:
        """Whether any filter is set. `before` and `after` are places."""
        return any(self.data.get(name) for name in NARROWING if name in self.fields)

    def narrow(self, runs: QuerySet[Run], *, any_state: bool = False) -> QuerySet[Run]:
        """Those of `runs` that match the filters. Invalid filters are ignored.

        Args:
            any_state: leave that filter out.
        """
        self.is_valid()
        wanted = self.cleaned_data
        text = wanted.get("q", "").strip().replace("\0", "")
        if text:
            runs = runs.filter(_mentions(text))
        elif not wanted.get("child_runs"):
            runs = runs.filter(parent_run=None)
        if workflow := wanted.get("workflow"):
            runs = runs.filter(workflow=workflow)
        if (state := wanted.get("state")) and not any_state:
            runs = in_state(runs, state)
        if since := wanted.get("since"):
            runs = runs.filter(created_at__gte=timezone.now() - TIMES[since][1])
        if owner := wanted.get("owner", "").strip().replace("\0", ""):
            runs = runs.filter(_started_by(owner))
        return runs

    @property
    def searches(self) -> bool:
        """Whether runs are searched by text, which reads them all."""
        return bool(self.cleaned_data.get("q"))

    @property
    def until(self) -> datetime | None:
        """The page has the runs that were made before this moment, the end of the day jumped to."""
        day: date | None = self.cleaned_data.get("day")
        if day is None:
            return None
        try:
            return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))
        except OverflowError:
            return None

    @property
    def page_before(self) -> UUID | None:
        """The page has the runs that are older than this one."""
        before: UUID | None = self.cleaned_data.get("before")
        return before

    @property
    def page_after(self) -> UUID | None:
        """The page has the runs that are newer than this one."""
        after: UUID | None = self.cleaned_data.get("after")
        return after


def in_state(runs: QuerySet[Run], key: str) -> QuerySet[Run]:
    """Those of `runs` in a state of the filter."""
    states = STATES[key][1]
    if len(states) > 1:
        # Of those that have not ended there is an index, of their states none.
        return runs.filter(finished_at=None)
    # By "=": that is what the index of the runs without success serves, also on SQLite.
    return runs.filter(state=states[0])


def _started_by(owner: str) -> Q:
    # A project's own model of users may have the name in another field.
    found = Q(**{f"owner__{get_user_model().USERNAME_FIELD}__iexact": owner})
    return found | Q(owner=None) if owner.lower() == NOBODY else found


def _mentions(text: str) -> Q:
    found = Q(workflow__icontains=text) | Q(message__icontains=text) | Q(error__icontains=text)
    found |= Q(pk__startswith=text.lower()) | Q(workflow__in=titles_with(text))
    if not BEGINNING_OF_ID.fullmatch(text):
        return found
    tasks = {"task_id__startswith": text.lower()}
    steps = Step.objects.filter(**tasks).values("run")
    items = Item.objects.filter(**tasks).values("step__run")
    attempts = Attempt.objects.filter(**tasks).values("step__run")
    return found | Q(pk__in=steps) | Q(pk__in=items) | Q(pk__in=attempts)


@dataclass(frozen=True, kw_only=True)
class PageOfRuns:
    """Runs, the newest first.

    Args:
        older: the next page has the runs that are older than this one. It is sent as `before`;
            None on the last page.
        newer: the previous page has the runs that are newer than this one. It is sent as `after`;
            None on the first page.
    """

    runs: list[Run]
    older: UUID | None
    newer: UUID | None = None


def page_of(
    runs: QuerySet[Run],
    before: UUID | None,
    *,
    after: UUID | None = None,
    until: datetime | None = None,
    among: QuerySet[Run] | None = None,
) -> PageOfRuns:
    """The page of `runs` that begins after the run `before`, or ends before `after`, or the newest.

    Args:
        until: without `before` and `after`, the page begins with the last run before this moment.
        among: all runs that the caller may see. `before` and `after` may no longer match the
            filters of `runs`. One that is not in `among` is treated as one that does not exist.
    """
    known = runs if among is None else among
    if place := _place(known, after):
        newer = list(
            runs.filter(_beyond("gt", place)).order_by("created_at", "id")[: PAGE_SIZE + 1]
        )
        # Fewer than a page, and the newest page has them all.
        if len(newer) > PAGE_SIZE:
            page = newer[:PAGE_SIZE][::-1]
            return PageOfRuns(runs=page, older=page[-1].pk, newer=page[0].pk)
    place = _place(known, before)
    if place is None and until is not None:
        place = (until, UUID(int=0))
    if place:
        runs = runs.filter(_beyond("lt", place))
    found = list(runs.order_by("-created_at", "-id")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    return PageOfRuns(
        runs=found[:PAGE_SIZE],
        older=found[PAGE_SIZE - 1].pk if more else None,
        newer=(found[0].pk if found else before) if place else None,
    )


def _place(known: QuerySet[Run], run: UUID | None) -> tuple[datetime, UUID] | None:
    return known.filter(pk=run).values_list("created_at", "pk").first() if run else None


def _beyond(way: str, place: tuple[datetime, UUID]) -> Q:
    created_at, pk = place
    return Q(**{f"created_at__{way}": created_at}) | Q(created_at=created_at, **{f"pk__{way}": pk})
