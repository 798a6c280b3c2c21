"""How many runs are in which state, as far as that is cheap to count."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import IntegerField, QuerySet, Subquery
from django.utils.translation import gettext_lazy as _

from monitor.pages.listing.filter import STATES, in_state
from monitor.texts.language import figure
from parent.models import Run

__all__ = ["MOST", "StateCount", "counts_by_state"]

MOST = 1_000
"""No state is counted further: it reads this many rows and one more."""


class UpTo(Subquery):
    """How many rows a query has, which is cut."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """A choice of the filter by state. `key` is empty for all runs, which are not counted."""

    key: str
    label: Any
    number: int | None = None

    @property
    def shown(self) -> str:
        """`12`, or `1,000+`; empty without a number."""
        if self.number is None:
            return ""
        shown = figure(min(self.number, MOST))
        return f"{shown}+" if self.number > MOST else shown


def counts_by_state(runs: QuerySet[Run], user: User) -> list[StateCount]:
    """How many of `runs` are in each state of the filter. One statement.

    Args:
        user: any user that exists. The counts are columns of a query for this user's row, which
            returns exactly one row.
    """
    found = {key: UpTo(in_state(runs, key).order_by().values("pk")[: MOST + 1]) for key in STATES}
    of_user = get_user_model()._default_manager.filter(pk=user.pk)
    row = of_user.values_list(*found.values()).get()
    counted = [
        StateCount(key=key, label=label, number=number)
        for (key, (label, _states)), number in zip(STATES.items(), row, strict=True)
    ]
    return [StateCount(key="", label=_("All")), *counted]
