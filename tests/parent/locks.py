"""Whether a statement waits for a lock of PostgreSQL."""

from django.db import connection

__all__ = ["waiting"]


def waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
