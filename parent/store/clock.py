"""The database's clock: the only one that decides anything."""

from datetime import UTC, datetime

from django.db import connection
from django.utils import timezone

__all__ = ["now", "read", "sql"]


def now() -> datetime:
    """The database's time, in UTC; one statement, but on SQLite, which has this machine's."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def sql(after: float = 0) -> str:
    """The database's time, or `after` seconds later, as SQL for a statement with parameters."""
    if connection.vendor == "sqlite":
        return f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '{after:+f} seconds')"
    return f"statement_timestamp() + {after:f} * interval '1 second'"


def read(moment: datetime | str) -> datetime:
    """What a database answers to `sql()`: SQLite has only text for it."""
    if isinstance(moment, datetime):
        return moment
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)
