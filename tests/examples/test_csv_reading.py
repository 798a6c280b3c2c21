"""From bytes to rows: encodings, delimiters, lines, quotes."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.csv_profile import lines as lines_module
from examples.csv_profile.dialect import character, choose_delimiter, sample_text
from examples.csv_profile.encoding import ENCODINGS, choose_encoding
from examples.csv_profile.errors import UnusableFile
from examples.csv_profile.lines import CHUNK, Lines
from examples.csv_profile.rows import read_rows


class Trickle(io.BytesIO):
    """A file that gives a few bytes at a time, as a slow storage may."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self.step = step

    def read(self, size: int | None = None, /) -> bytes:
        return super().read(self.step if size is None else min(size, self.step))


@pytest.mark.parametrize(
    ("head", "wanted", "encoding"),
    [
        (b"a,b\n", "auto", "utf-8"),
        (b"\xef\xbb\xbfa,b\n", "auto", "utf-8"),
        ("a,b\n".encode("utf-16"), "auto", "utf-16"),
        (b"\xfe\xff\0a\0,", "auto", "utf-16"),
        ("a,b\n".encode("utf-32"), "auto", "utf-32"),
        (b"a,\xe9\n", "cp1252", "cp1252"),
        ("a,b\n".encode("utf-16-le"), "utf-16", "utf-16-le"),
    ],
)
def test_the_encoding_is_the_named_one_or_that_of_the_mark_or_utf8(
    head: bytes, wanted: str, encoding: str
) -> None:
    assert choose_encoding(head, wanted) == encoding


def test_an_unknown_encoding_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnusableFile, match="'klingon' is unknown; use one of: auto, utf-8, "):
        choose_encoding(b"a", "klingon")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_offered_encoding_can_be_read(encoding: str) -> None:
    file = io.BytesIO("a,b\r\n1,2\r\n".encode(encoding))
    assert list(Lines(file, encoding)) == ["a,b\r\n", "1,2\r\n"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2,3\n", "comma"),
        ("a;b;c\n1,5;2,5;3\n", "semicolon"),
        ("a\tb\n1, one\t2\n", "tab"),
        ("a|b\n1|2\n", "pipe"),
        ("name\nAda, Countess of Lovelace\n", "comma"),
        ('a;b\n"x,y,z";2\n"x,y,z";2\n', "semicolon"),
        ("a,b\n1\n2\n3,4\n", "comma"),
        ("a;b, c, d\n1;2\n3;4\n", "semicolon"),
        ("", "comma"),
    ],
)
def test_the_delimiter_is_the_one_that_the_rows_agree_on(text: str, delimiter: str) -> None:
    assert choose_delimiter(text) == delimiter


def test_a_named_delimiter_is_taken_and_an_unknown_one_refused() -> None:
    assert choose_delimiter("a,b\n", "tab") == "tab"
    with pytest.raises(UnusableFile, match="use one of: auto, comma, semicolon, tab, pipe"):
        choose_delimiter("a,b\n", "colon")


@pytest.mark.parametrize(
    ("first", "delimiter"),
    [
        ("sep=;\r\n", "semicolon"),
        ("SEP=,\n", "comma"),
        ("sep=\t\n", "tab"),
        ("sep=\\t\n", "tab"),
        ("sep=|\r", "pipe"),
        ("sep=:\n", ":"),
        ("sep=^\n", "^"),
        ('"sep=;"\n', "semicolon"),
        ("sep=;;\n", "semicolon"),
        ('"sep=;";\n', "semicolon"),
        ("sep=; \n", "semicolon"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_first_line_that_says_the_delimiter_is_believed_and_is_no_row(
    first: str, delimiter: str, encoding: str
) -> None:
    said, other = character(delimiter), "," if delimiter == "semicolon" else ";"
    content = f"{first}a{other}a{said}b\n1{other}5{said}2\n".encode(encoding)
    codec = choose_encoding(content)
    assert choose_delimiter(sample_text(content, codec)) == delimiter
    rows = list(read_rows(Lines(io.BytesIO(content), codec), said))
    assert [row.line for row in rows] == [2, 3]
    assert [row.cells for row in rows] == [[f"a{other}a", "b"], [f"1{other}5", "2"]]


@pytest.mark.parametrize("first", ["sep=", "sep=a", "sep= ", "sep=;x", "separator=;", "a;sep=;"])
def test_another_first_line_is_the_header(first: str) -> None:
    rows = list(read_rows([f"{first}\n", "1\n"], ","))
    assert [row.cells for row in rows] == [[first], ["1"]]


def test_a_delimiter_that_the_caller_names_wins_over_the_first_line() -> None:
    assert choose_delimiter("sep=;\na,b\n", "comma") == "comma"
    assert [row.cells for row in read_rows(["sep=;\n", "a,b\n"], ",")] == [["a", "b"]]


def test_what_is_wrong_after_such_a_line_is_named_by_its_own_line() -> None:
    with pytest.raises(UnusableFile, match="the quote that opens in line 3 is never closed"):
        list(read_rows(["sep=,\n", "a,b\n", '1,"2\n'], ","))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('5" disc', '5" disc'),
        ('5"', '5"'),
        ('5"" disc', '5"" disc'),
        ('the "best" one', 'the "best" one'),
        ('"5"" disc"', '5" disc'),
        ('""', ""),
        ('""""', '"'),
        ("'5", "'5"),
        ("O'Neill", "O'Neill"),
    ],
)
def test_a_quote_inside_a_cell_that_none_opens_is_a_character(
    cell: str, value: str, delimiter: str
) -> None:
    text = f"name{delimiter}n\n{cell}{delimiter}1\n{cell}{delimiter}{cell}\n"
    assert character(choose_delimiter(text)) == delimiter
    rows = read_rows(io.StringIO(text, newline=""), delimiter)
    assert [row.cells for row in rows] == [["name", "n"], [value, "1"], [value, value]]


def test_a_sample_ends_with_its_last_whole_line() -> None:
    assert sample_text("a,b\n1,2\né,".encode()[:-2], "utf-8") == "a,b\n1,2\n"
    assert sample_text(b"a,b", "utf-8") == "a,b"


@given(
    st.text(alphabet=st.sampled_from('ab,é€𝄞\n\r\f\u2028"'), max_size=60),
    st.sampled_from(["utf-8", "utf-16", "utf-32", "gb18030"]),
    st.integers(1, 7),
)
def test_lines_are_the_same_however_the_file_is_cut(text: str, encoding: str, step: int) -> None:
    content = text.encode(encoding)
    positions: list[int] = []
    lines = Lines(Trickle(content, step), encoding, on_read=positions.append)
    assert list(lines) == list(io.StringIO(text, newline=""))
    assert positions == [*range(0, len(content), step), len(content)]


@pytest.mark.parametrize("before", [b"", b"x" * (CHUNK - 10) + b"\n", "é\n".encode() * CHUNK])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_undecodable_bytes_are_named_by_line_and_byte(before: bytes, mark: bytes) -> None:
    content = mark + before + b"a,b\nc,\xe9t\xe9\n"
    line = before.count(b"\n") + 2
    byte = len(mark + before) + 6
    with pytest.raises(UnusableFile, match=rf"line {line:,} \(byte {byte:,} of the file\)"):
        list(Lines(io.BytesIO(content), "utf-8"))


def test_lines_that_end_in_a_bare_carriage_return_count_as_well() -> None:
    with pytest.raises(UnusableFile, match=r"line 3 \(byte 4 of the file\)"):
        list(Lines(Trickle(b"a\rb\r\xe9", 2), "utf-8"))


def test_a_file_cut_in_the_middle_of_a_character_is_no_text() -> None:
    with pytest.raises(UnusableFile, match="not utf-8 text: line 2 "):
        list(Lines(io.BytesIO("a\né".encode()[:-1]), "utf-8"))


def test_a_nul_further_down_is_named_by_its_line() -> None:
    with pytest.raises(UnusableFile, match="NUL in line 70,002"):
        list(Lines(io.BytesIO(b"a\r\n" * 70_001 + b"b\0\n"), "utf-8"))


def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return b"a" * size

    file = Endless()
    with pytest.raises(UnusableFile, match="line 1 has more than 1,048,576 characters"):
        list(Lines(file, "utf-8"))
    assert file.given <= lines_module.MAX_LINE + CHUNK


cell = st.text(alphabet=st.sampled_from('ab ,;"\n\ré'), max_size=8).map(str.lstrip)


@given(st.lists(st.lists(cell, min_size=2, max_size=4), max_size=6), st.sampled_from(",;\t|"))
def test_what_csv_writes_is_read_again_with_the_line_of_each_row(
    table: list[list[str]], delimiter: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    begins = []
    for cells in table:
        begins.append(1 + len(list(io.StringIO(text.getvalue(), newline=""))))
        writer.writerow(cells)
    text.seek(0)
    assert [(r.line, r.cells) for r in read_rows(text, delimiter)] == list(
        zip(begins, table, strict=True)
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('a,b\n1,"2\n3,4\n', "the quote that opens in line 2 is never closed"),
        ('a,b\n"x\ny","2\n3,4\n', "the quote that opens in line 3 is never closed"),
        ('a,b\n1, "2\n', "the quote that opens in line 2 is never closed"),
        ('a,b\n1,"2""\n', "the quote that opens in line 2 is never closed"),
        ('a,b\n1,"2\n3,"4"\n', "the quote that opens in line 2 is closed and then followed"),
        ('a,b\n"x",1\n2,"say "hi" now"\n', "line 3 is closed and then followed by more text"),
        ("a,b\n1," + "x" * 131_073 + "\n", "line 2 has a cell of more than 131,072 characters"),
        ('a,b\n1,"' + "x\n" * 70_000, "opens in line 2 is not closed within 131,072 characters"),
        ('a,b\n1,"' + "x" * 131_073 + '"\n', "opens in line 2 is not closed within 131,072"),
        ("a\n" + '"\n",' * 999_999, "begins in line 2 has more than 2,097,152 characters"),
    ],
)
def test_a_row_that_cannot_be_read_is_explained(text: str, reason: str) -> None:
    with pytest.raises(UnusableFile, match=reason):
        list(read_rows(io.StringIO(text, newline=""), ","))


def test_an_unclosed_quote_comes_with_its_remedy() -> None:
    with pytest.raises(UnusableFile, match="close it, and write quotes inside a quoted cell twice"):
        list(read_rows(['a,"b\n'], ","))
