"""The database's clock: the only one that decides anything."""

from datetime import datetime

from django.db import connection
from django.utils import timezone

__all__ = ["now"]


def now() -> datetime:
    """The database's time, in UTC; one statement, but on SQLite, which has this machine's."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
