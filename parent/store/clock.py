"""The database's clock: the only one that decides anything."""

from datetime import datetime

from django.db import connection
from django.utils import timezone

__all__ = ["SQL", "now"]

SQL = "statement_timestamp()"
"""The time of PostgreSQL."""


def now() -> datetime:
    """The database's time, in UTC; one statement, but on SQLite, which has this machine's."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {SQL}")
        moment: datetime = cursor.fetchone()[0]
    return moment
