"""The three children. They open the file and report progress; other modules do the work."""

import logging
from pathlib import PurePath
from typing import TypedDict

from children import Progress, child_task
from examples.csv_profile.columns import ColumnProfile
from examples.csv_profile.dialect import character, choose_delimiter, sample_text
from examples.csv_profile.encoding import choose_encoding
from examples.csv_profile.errors import UnusableFile
from examples.csv_profile.findings import findings
from examples.csv_profile.layout import Layout, RaggedRow, survey
from examples.csv_profile.lines import CHUNK, Lines
from examples.csv_profile.rows import read_rows
from examples.csv_profile.stored import stored_file
from examples.csv_profile.table import profile_rows

__all__ = ["Report", "Validation", "profile", "report", "validate"]

logger = logging.getLogger(__name__)


class Validation(TypedDict):
    """The result of `validate`; `size` is in bytes, `delimiter` is for `character`."""

    size: int
    encoding: str
    delimiter: str
    layout: Layout


class Report(TypedDict):
    """The result of a run; the README explains each key."""

    file: str
    size: int
    encoding: str
    delimiter: str
    rows: int
    ragged_rows: int
    ragged_first: list[RaggedRow]
    findings: list[str]
    columns: list[ColumnProfile]


# `throws`: a user's broken file is not an error of the worker, so the log gets no traceback.
@child_task(name="csv_profile.validate", throws=(UnusableFile,))
def validate(
    progress: Progress, file: str, encoding: str = "auto", delimiter: str = "auto"
) -> Validation:
    """Find encoding and delimiter, and whether the file is a table.

    Args:
        file: a name in the default storage.
        encoding: one of `ENCODINGS`, or "auto".
        delimiter: one of `DELIMITERS`, or "auto".

    Raises:
        UnusableFile: it is not a table; the message says why.
    """
    with stored_file(file) as stored:
        progress.update(0, stored.size, "Checking the rows")
        head = stored.read(CHUNK)
        stored.seek(0)
        encoding = choose_encoding(head, encoding)
        delimiter = choose_delimiter(sample_text(head, encoding), delimiter)
        logger.info("%s bytes, encoding %s, delimiter %s", stored.size, encoding, delimiter)
        lines = Lines(stored, encoding, on_read=progress.update)
        layout = survey(read_rows(lines, character(delimiter)))
        if layout["ragged"]["count"]:
            logger.warning("%s rows have another number of cells", layout["ragged"]["count"])
        progress.message(f"{layout['rows']:,} rows, {len(layout['columns']):,} columns")
        return Validation(size=stored.size, encoding=encoding, delimiter=delimiter, layout=layout)


@child_task(name="csv_profile.profile")
def profile(
    progress: Progress, file: str, encoding: str, delimiter: str, columns: list[str]
) -> list[ColumnProfile]:
    """Profile each column. `encoding`, `delimiter` and `columns` come from `validate`."""
    with stored_file(file) as stored:
        progress.update(0, stored.size, "Profiling the columns")
        logger.info("profiling %s columns", len(columns))
        lines = Lines(stored, encoding, on_read=progress.update)
        return profile_rows(read_rows(lines, character(delimiter)), columns)


@child_task(name="csv_profile.report")
def report(
    progress: Progress, file: str, validation: Validation, columns: list[ColumnProfile]
) -> Report:
    """Combine both passes, with the main findings."""
    progress.message("Writing the report")
    layout = validation["layout"]
    return Report(
        file=PurePath(file).name,
        size=validation["size"],
        encoding=validation["encoding"],
        delimiter=validation["delimiter"],
        rows=layout["rows"],
        ragged_rows=layout["ragged"]["count"],
        ragged_first=layout["ragged"]["first"],
        findings=findings(layout, columns),
        columns=columns,
    )
