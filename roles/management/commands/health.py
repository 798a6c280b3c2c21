"""`manage.py health`: for the health check of a container."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from roles import health

ROLES = {"web": health.web, "worker": health.worker}


class Command(BaseCommand):
    help = "Exit with 0 if the web server or the worker of this machine is well; else say why not."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", nargs="?", choices=[*ROLES], help="this one alone")

    def handle(self, *args: object, role: str | None, **options: Any) -> None:  # noqa: ARG002
        problems = [ROLES[name]() for name in ([role] if role else ROLES)]
        if None not in problems:
            sys.exit("; ".join(filter(None, problems)))
