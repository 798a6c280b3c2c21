"""The first pass: the columns' names, and rows that do not fit them."""

import pytest

from examples.csv_profile.errors import UnusableFile
from examples.csv_profile.header import MAX_NAME, name_columns
from examples.csv_profile.layout import MAX_LISTED, survey
from examples.csv_profile.rows import Row, read_rows


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["a", "b"], ["a", "b"]),
        ([" a ", "b\nc"], ["a", "b c"]),
        (["", "a", " "], ["column 1", "a", "column 3"]),
        (["a", "a", "a"], ["a", "a (2)", "a (3)"]),
        (["a", "a", "a (2)"], ["a", "a (2)", "a (2) (2)"]),
        (["column 2", ""], ["column 2", "column 2 (2)"]),
        (["x" * 500], ["x" * MAX_NAME]),
    ],
)
def test_every_column_has_a_name_of_its_own(cells: list[str], names: list[str]) -> None:
    assert name_columns(cells)[0] == names


def test_changed_names_are_told() -> None:
    assert name_columns(["", "a", "a"])[1] == [
        "Column 1 has no name; it is called “column 1”.",
        "Column 3 is a second “a”; it is called “a (2)”.",
    ]


def test_ten_thousand_columns_are_too_many() -> None:
    with pytest.raises(UnusableFile, match=r"10,000 columns and at most 1,000 are profiled"):
        name_columns(["a"] * 10_000)


def test_uneven_rows_are_counted_and_listed_with_their_lines() -> None:
    text = ["a,b\n", "1,2\n", "1\n", "\n", '"x\n', 'y",2\n', "1,2,3\n"]
    layout = survey(read_rows(text, ","))
    assert layout["rows"] == 4
    assert layout["blank_lines"] == 1
    assert layout["ragged"] == {
        "count": 2,
        "first": [{"line": 3, "cells": 1}, {"line": 7, "cells": 3}],
    }


def test_the_list_of_uneven_rows_is_bounded_and_their_number_is_not() -> None:
    rows = [Row(1, ["a", "b"]), *(Row(line, ["x"]) for line in range(2, 1_002))]
    ragged = survey(rows)["ragged"]
    assert ragged["count"] == 1_000
    assert [row["line"] for row in ragged["first"]] == list(range(2, 2 + MAX_LISTED))


def test_blank_lines_before_the_header_are_passed_over() -> None:
    layout = survey([Row(1, []), Row(2, ["a"]), Row(3, ["1"])])
    assert (layout["columns"], layout["rows"], layout["blank_lines"]) == (["a"], 1, 1)


@pytest.mark.parametrize("rows", [[], [Row(1, [])], [Row(1, ["", " "]), Row(2, ["1", "2"])]])
def test_a_file_without_a_header_is_refused(rows: list[Row]) -> None:
    with pytest.raises(UnusableFile, match="no header row; the first line must name the columns"):
        survey(rows)
