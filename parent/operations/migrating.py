"""For migrations: lock tables for a moment while workers and web processes run."""

import random
import time
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

__all__ = ["TakeTables"]

PATIENCE = "2s"
"""Lock timeout. While a migration waits for a lock, all later statements wait behind it."""
TRIES = 60


class TakeTables(Operation):
    """The first operation of a migration that changes more than one table of its app.

    Without it a migration could lock one table and wait for another while a worker does the
    opposite: a deadlock, in which PostgreSQL aborts one of the two. This operation takes all locks
    first, when nothing is lost yet, and tries again. On SQLite a migration locks the whole
    database anyway.
    """

    reduces_to_sql = False
    reversible = True

    def __init__(self, *models: str) -> None:
        """`models`: in the order in which the engine locks them: run, step, executor."""
        self.models = models

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [*self.models], {}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """No model changes."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,  # noqa: ARG002
    ) -> None:
        alias = schema_editor.connection.alias
        if schema_editor.connection.vendor != "postgresql":
            return
        models = [from_state.apps.get_model(app_label, name) for name in self.models]
        names = ", ".join(schema_editor.quote_name(model._meta.db_table) for model in models)
        for left in reversed(range(TRIES)):
            try:
                with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
                    cursor.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
                    cursor.execute("SET LOCAL lock_timeout = DEFAULT")
                return
            except OperationalError:
                if not left:
                    raise
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - jitter, no secret

    database_backwards = database_forwards

    def describe(self) -> str:
        return f"Take the tables of {', '.join(self.models)}"
