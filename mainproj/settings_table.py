"""Writes docs/settings.md from what the settings declare: `python -m mainproj.settings_table`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mainproj.environment import Declared

__all__ = ["PATH", "table"]

PATH = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

<!-- Written by `python -m mainproj.settings_table`; change the code that reads them instead. -->

All come from the environment. An empty variable counts as not set. A wrong value stops the start
with a message that says what to write.

| variable | what it is | kind | default | example |
| --- | --- | --- | --- | --- |
"""
FOOT = """
Libraries read variables of their own: gunicorn `GUNICORN_CMD_ARGS`, OpenTelemetry all that begin
with `OTEL_`, libpq `PGSSLROOTCERT` and others.
"""


def table(declared: Sequence[Declared]) -> str:
    """The whole page."""
    return HEAD + "".join(_rows(declared)) + FOOT


def _rows(declared: Sequence[Declared]) -> Iterator[str]:
    for each in declared:
        default = each.default.replace("|", "\\|") or "none"
        about = each.about.replace("|", "\\|")
        yield f"| `{each.name}` | {about} | {each.kind} | {default} | `{each.example}` |\n"


def main() -> None:
    # Read the settings without other variables, as on one machine.
    os.environ |= {"LOCAL": "on", "SECRET_KEY": "none"}
    from mainproj import settings  # noqa: F401, PLC0415 - reading them declares them
    from mainproj.environment import env  # noqa: PLC0415

    PATH.write_text(table(env.declared))


if __name__ == "__main__":
    main()
