"""The database's clock. All deadlines and leases use it, so the machines' clocks may differ."""

from datetime import datetime

from django.db import connection
from django.utils import timezone

from parent.store.connections import prepared_cursor

__all__ = ["NOW_SQL", "now"]

NOW_SQL = "statement_timestamp()"
"""PostgreSQL's time at the start of the statement."""


def now() -> datetime:
    """The database's time, in UTC. One statement; SQLite uses this machine's clock, without one."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with prepared_cursor() as cursor:
        cursor.execute(f"SELECT {NOW_SQL}")
        moment: datetime = cursor.fetchone()[0]
    return moment
