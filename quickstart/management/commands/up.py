"""`manage.py up`: everything on one machine, until Ctrl-C."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from quickstart.errors import UpError
from quickstart.machine import Options, run
from quickstart.pid_file import make_folder


def _whole_number(lowest: int, highest: int) -> Any:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise argparse.ArgumentTypeError(f"{text} is not a number from {lowest} to {highest}")
        return int(text)

    return number


class Command(BaseCommand):
    help = "Start the broker, one worker and the web server on this machine, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=_whole_number(1, 65535), default=8000)
        parser.add_argument("--data-dir", type=Path, help="database, queue and uploads (.data)")
        parser.add_argument(
            "--concurrency",
            type=_whole_number(1, 1000),
            default=min(os.cpu_count() or 1, 4),
            help="children that run at once in the worker (processors, at most 4)",
        )
        parser.add_argument("--pool", choices=["prefork", "threads", "solo"], default="prefork")

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the checks, which look into the directory and know no remedy as simple.
        try:
            make_folder(settings.DATA_DIR)
        except UpError as exc:
            sys.exit(str(exc))
        return super().execute(*args, **options)

    def handle(self, *args: object, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        if options["data_dir"] and options["data_dir"].resolve() != settings.DATA_DIR:
            # `manage.py` applies it before the settings are read; other callers must set it.
            raise CommandError("Use `manage.py up --data-dir`, or set DATA_DIR instead.")
        chosen = Options(
            port=options["port"], pool=options["pool"], concurrency=options["concurrency"]
        )
        try:
            run(chosen, sys.stdout)
        except UpError as exc:
            sys.exit(str(exc))
        except KeyboardInterrupt:
            sys.exit(130)
