"""Messages of a body are always one line; its errors keep their lines, and can be made one."""

import pytest

from children import Meta
from children.meta import parse
from children.sanitize import clean_text, one_line

LINES = {
    "a line break": ("one\ntwo", "one two"),
    "line breaks of all kinds": ("a\r\nb\x0bc\x0cd\x85e\u2028f\u2029g", "a b c d e f g"),
    "a carriage return alone": ("10 %\r20 %", "10 % 20 %"),
    "space around a line break": ("one  \n\t two", "one two"),
    "spaces in a line stay": ("one  two", "one  two"),
    "space around it all": (" \n one\t", "one"),
    "colours": ("\x1b[1;31mred\x1b[0m", "red"),
    "colours by an eight-bit control": ("\x9b31mred", "red"),
    "cleared screens": ("\x1b[2J\x1b[Hhome\x1b[K", "home"),
    "a link": ("\x1b]8;;http://x\x07text\x1b]8;;\x1b\\", "text"),
    "a window's title": ("\x1b]0;owned\x07text", "text"),
    "a title without an end": ("\x1b]0;owned\ntext", "]0;owned text"),
    "a code in a code": ("\x1b\x1b[31m[31mx", "[31mx"),
    "an escape character alone": ("a\x1b", "a"),
    "bells and backspaces": ("a\x07b\x08c\x7fd", "a b c d"),
    "text turned around": ("a\u202egpj.exe\u2066b\u200f", "agpj.exeb"),
    "text that shows nothing": ("a\ufeff\u200bb", "ab"),
    "what joins emoji stays": ("👩\u200d💻 🏴", "👩\u200d💻 🏴"),
    "NUL": ("a\x00b", "a\ufffdb"),
    "a lone surrogate": ("a\ud800b", "a?b"),
    "a codepoint of a tag and a break": ("größe\u2028ж", "größe ж"),
    "no end": ("\n" * 5 + "x" * 5_000 + "\n", "x" * 1_999 + "…"),
}


@pytest.mark.parametrize(("said", "line"), LINES.values(), ids=LINES)
def test_messages_and_errors_become_one_line(said: str, line: str) -> None:
    assert Meta.at(1, 2, said).message == line
    assert one_line(str(Meta().failed(said).error)) == line
    assert Meta().failed(said).as_dict()["error"] == line
    assert parse("PROGRESS", {"message": said}).message == line
    assert one_line(str(parse("FAILURE", ValueError(said)).error)).endswith(line)
    assert one_line(str(parse("FAILURE", said).error)) == line
    assert parse("PROGRESS", said).message == line
    assert clean_text(line) == line


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("Row 3: no weight\nRow 9: no name", ["Row 3: no weight", "Row 9: no name"]),
        ("Rows:\r\n  3\t: no \x1b[31mweight\x1b[0m \n\n\n 9", ["Rows:", "3 : no weight", "9"]),
        ("a\x0bb\u2028c\x00\nd\u202e\n\u200b\n", ["a", "b", "c\ufffd", "d"]),
        ("x" * 1_998 + "\ny\nz", ["x" * 1_998, "…"]),
    ],
)
def test_an_error_keeps_its_lines(said: str, lines: list[str]) -> None:
    assert str(Meta().failed(said).error).split("\n") == lines
    assert str(parse("FAILURE", said).error).split("\n") == lines
    again = Meta().failed("\n".join(lines))
    assert str(again.error).split("\n") == lines


def test_an_error_without_text_is_shown_as_unknown_error() -> None:
    assert Meta().failed("\x1b[0m\n").error == "unknown error"


@pytest.mark.parametrize("piece", [" ", "\n", "\x1b", "\x9d", "\x1b]", "\x1b[", "\u202e", " \x0b"])
def test_a_long_text_is_cleaned_quickly(piece: str) -> None:
    assert len(clean_text(piece * 300_000)) <= 2_000
    assert len(str(Meta().failed(piece * 300_000).error)) <= 2_000
