"""The children called directly, and the workflow as a whole, run inline."""

import csv
import json
import re
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from children import Meta, Progress
from examples.csv_profile.columns import Column, ColumnProfile, Sizes
from examples.csv_profile.errors import UnusableFile
from examples.csv_profile.findings import MAX_FINDINGS, findings
from examples.csv_profile.layout import Layout
from examples.csv_profile.tasks import profile, validate
from examples.csv_profile.workflows import csv_profile
from parent.deletion.delete import delete_run
from parent.inline import run_inline
from parent.models import RunState
from tests.examples.conftest import TIME_ZONES, Store, profiled

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
WIDE = ",".join(f"c{i}" for i in range(10_000)) + "\n"

BROKEN = {
    "empty": (b"", "the file is empty; upload one with a header row"),
    "only a mark": (b"\xef\xbb\xbf", "the file has no header row"),
    "blank lines": (b"\n\n \n", "the file has no header row"),
    "a picture": (PNG, "the file is a PNG image, not text; export the table as CSV first"),
    "a workbook": (b"PK\x03\x04\x14\0", "the file is an Excel workbook or another ZIP archive"),
    "binary": (b"a,b\n1,\0\1\2\n", "the file is binary: byte 6 is NUL"),
    "UTF-16 without a mark": ("a,b\n".encode("utf-16-le"), "start again with encoding=utf-16"),
    "another encoding": (
        "name\ncafé\n".encode("cp1252"),
        r"the file is not utf-8 text: line 2 \(byte 8 of the file\) cannot be decoded; "
        "save it as UTF-8, or start again and name its encoding",
    ),
    "too many columns": (WIDE.encode(), "10,000 columns and at most 1,000"),
    "an unclosed quote": (b'a,b\n1,2\n3,"4\n5,6\n', "the quote that opens in line 3 is never clo"),
    "a huge cell": (b"a\n" + b"x" * 200_000, "line 2 has a cell of more than 131,072 characters"),
}
broken = pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN.keys())


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_needs_no_mark(store: Store, codec: str) -> None:
    result = profiled(store("a,b\n1,é\n".encode(codec), "wide.csv"), encoding=codec[:6])

    assert (result["rows"], result["columns"][1]["name"]) == (1, "b")


def test_wide_text_that_is_none(store: Store) -> None:
    with pytest.raises(Exception, match=r"is not utf-16-le text: line 1 .* cannot be decoded"):
        profiled(store(b"abc\n1", "odd.csv"), encoding="utf-16")


def test_the_shipped_file_is_profiled_as_it_is(store: Store) -> None:
    result = profiled(store(TIME_ZONES.read_bytes(), "time_zones.csv"))
    with TIME_ZONES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {column["name"]: column for column in result["columns"]}

    assert (result["file"], result["encoding"], result["delimiter"]) == (
        "time_zones.csv",
        "utf-8",
        "comma",
    )
    assert (result["rows"], result["ragged_rows"], result["findings"]) == (len(rows), 0, [])
    assert {name: column["type"] for name, column in columns.items()} == {
        "zone": "text",
        "countries": "text",
        "latitude": "number",
        "longitude": "number",
        "utc_offset_january": "number",
        "clock_changes": "boolean",
        "first_change": "date",
        "comment": "text",
    }
    assert columns["latitude"]["max"] == max(float(row["latitude"]) for row in rows)
    assert columns["comment"]["missing"] == sum(not row["comment"] for row in rows)
    days = sorted(date.fromisoformat(r["first_change"]) for r in rows if r["first_change"])
    assert (columns["first_change"]["min"], columns["first_change"]["max"]) == (
        days[0].isoformat(),
        days[-1].isoformat(),
    )


@pytest.mark.parametrize(
    ("content", "how", "expected"),
    [
        ("a;b\n1;é\n".encode("cp1252"), {"encoding": "cp1252"}, ("cp1252", "semicolon", "é")),
        ("a\tb\n1\té\n".encode("utf-16"), {}, ("utf-16", "tab", "é")),
        (b"\xef\xbb\xbfa|b\r\n1|x\r\n", {}, ("utf-8", "pipe", "x")),
        (b"a,b\r1,x\r", {}, ("utf-8", "comma", "x")),
        (b"a;b\n1;x,y\n", {"delimiter": "semicolon"}, ("utf-8", "semicolon", "x,y")),
    ],
)
def test_encoding_and_delimiter_are_found_or_taken(
    store: Store, content: bytes, how: dict[str, str], expected: tuple[str, str, str]
) -> None:
    result = profiled(store(content), **how)
    first, second = result["columns"]
    assert (result["encoding"], result["delimiter"], second["max"]) == expected
    assert (first["name"], first["type"]) == ("a", "integer")


def test_a_header_alone_is_a_table_without_rows(store: Store) -> None:
    result = profiled(store("a,b"))
    assert result["rows"] == 0
    assert [column["type"] for column in result["columns"]] == ["empty", "empty"]
    assert result["findings"][0] == "The file has a header and no rows."


@broken
def test_a_broken_file_is_refused_with_what_is_wrong_and_what_to_do(
    store: Store, content: bytes, reason: str
) -> None:
    with pytest.raises(UnusableFile, match=reason):
        validate(file=store(content))


def test_a_missing_file_is_explained() -> None:
    with pytest.raises(UnusableFile, match=r"'runs/1/x\.csv' is gone; start the workflow again"):
        validate(file="runs/1/x.csv")


@pytest.mark.parametrize("child", ["validate", "profile"])
def test_progress_follows_the_bytes_read(store: Store, child: str) -> None:
    content = "a,b\n" + "".join(f"{i},{'x' * 50}\n" for i in range(20_000))
    file, sent = store(content), list[Meta]()
    progress = Progress(sent.append, interval=0)
    if child == "validate":
        validate.run(progress, file=file)
    else:
        profile.run(progress, file=file, encoding="utf-8", delimiter="comma", columns=["a", "b"])
    done = [meta.iteration for meta in sent]
    assert {meta.total for meta in sent} == {len(content)}
    assert (done[0], done[-1]) == (0, len(content))
    assert all(0 <= later - earlier <= 64 * 1024 for earlier, later in pairwise(done))
    assert sent[-1].completion == 99


def test_the_result_is_bounded_whatever_the_cells_hold(store: Store) -> None:
    header = ",".join("n" * 300 + str(i) for i in range(1_000))
    rows = "".join(",".join(["\x01é\x85" * 100] * 1_000) + f"{'x' * i}\n" for i in range(3))
    result = profiled(store(f"{header}\n{rows}"))
    text = json.dumps(result, allow_nan=False)
    assert len(result["columns"]) == 1_000
    assert len(result["findings"]) == MAX_FINDINGS
    assert len(text) < 2_000_000
    assert "\\u0000" not in text


def test_findings_name_unusual_columns() -> None:
    layout = Layout(
        columns=["a", "b"],
        rows=10,
        blank_lines=1,
        ragged={"count": 1, "first": [{"line": 7, "cells": 3}]},
        warnings=["Column 2 has no name; it is called “column 2”."],
    )
    columns = profiled_columns(a=["1"] * 19 + ["x"], b=["7"] * 10, c=[""], d=["x", "1"])
    assert findings(layout, columns) == [
        "1 row without exactly 2 cells; line (cells): 7 (3). Missing cells count as missing "
        "values, cells beyond the last column are left out.",
        "1 blank line passed over.",
        "Column 2 has no name; it is called “column 2”.",
        "“a” is text because of 1 value out of 20; most are of type integer.",
        "“b” holds the same value throughout.",
        "“c” is empty.",
    ]


@pytest.mark.django_db
def test_a_run_ends_with_the_report_and_takes_its_file_along(
    media: Path, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    run = run_inline(csv_profile, file=ContentFile(TIME_ZONES.read_bytes(), "time_zones.csv"))
    assert (run.state, run.error) == (RunState.SUCCESS, None)
    assert run.steps.get(name="validate").meta.message == "312 rows, 8 columns"
    assert run.result is not None
    assert run.result["file"] == "time_zones.csv"
    assert [column["missing"] for column in run.result["columns"]][-2:] == [14, 111]
    assert default_storage.exists(run.params["file"])
    with django_capture_on_commit_callbacks(execute=True):
        delete_run(run)
    assert not [path for path in media.rglob("*") if path.is_file()]


@pytest.mark.django_db
@broken
def test_a_run_of_a_broken_file_fails_in_validate(content: bytes, reason: str) -> None:
    run = run_inline(csv_profile, file=ContentFile(content, "broken.csv"))
    assert run.state == RunState.FAILURE
    assert re.match(f"Error in validate: .*{reason}", run.error or "")


def profiled_columns(**cells: list[str]) -> list[ColumnProfile]:
    """Profiles of columns that hold these cells."""
    columns = [Column(name, Sizes.shared_by(len(cells))) for name in cells]
    for column in columns:
        column.add(cells[column.name])
    return [column.profile() for column in columns]
