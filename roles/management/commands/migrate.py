"""`manage.py migrate`: Django's own, but only for a database that was configured."""

from typing import Any

from django.conf import settings
from django.core.management.commands import migrate

from roles.required import require


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the checks, which query the database. On one machine the folder exists.
        if not settings.DATA_DIR.is_dir():
            require("DATABASE_URL")
        return super().execute(*args, **options)
