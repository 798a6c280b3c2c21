"""The database's clock. All deadlines and leases use it, so the machines' clocks may differ."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, Expression, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils import timezone

__all__ = ["NOW_SQL", "now", "now_in_update"]

NOW_SQL = "statement_timestamp()"
"""PostgreSQL's time at the start of the statement."""


def now() -> datetime:
    """The database's time, in UTC. One statement; SQLite uses this machine's clock, without one."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {NOW_SQL}")
        moment: datetime = cursor.fetchone()[0]
    return moment


def now_in_update(ago: timedelta = timedelta()) -> Expression | CombinedExpression:
    """The database's time, so long ago, as a value for an UPDATE.

    Django's `Now` has only milliseconds on SQLite, which compares times as texts.
    """
    if connection.vendor == "sqlite":
        return Value(now() - ago, output_field=DateTimeField())
    return Now() - ago if ago else Now()
