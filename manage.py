#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - an old Python gets a message, not a traceback
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"This is Python {found}, and 3.11 or newer is needed: make PYTHON=python3.11 up")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
        from django.core.management import execute_from_command_line  # noqa: PLC0415
    except ImportError as exc:
        sys.exit(f"{exc}: run `make up` once, or activate the virtual environment (.venv).")
    from quickstart import data_dir, local  # noqa: PLC0415 - an old Python cannot parse it

    data_dir.choose(sys.argv)
    local.set_defaults(sys.argv)
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
