"""`manage.py migrate`: Django's own, but not into a database that nobody has named."""

from typing import Any

from django.conf import settings
from django.core.management.commands import migrate

from roles.required import require


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the checks, which ask the database. On one machine the folder is there.
        if not settings.DATA_DIR.is_dir():
            require("DATABASE_URL")
        return super().execute(*args, **options)
