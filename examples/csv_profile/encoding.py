"""Finds the encoding of a file by its first bytes."""

import codecs

from examples.csv_profile.errors import UnusableFile

__all__ = ["ENCODINGS", "choose_encoding"]

ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-32",
    "cp1250",
    "cp1251",
    "cp1252",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "shift_jis",
    "euc-kr",
    "gb18030",
    "big5",
)
"""The encodings that a caller may name. Without a name: by the byte order mark, else UTF-8."""

# UTF-32 before UTF-16: its little-endian mark begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WIDE = frozenset({"utf-16", "utf-32"})

SIGNATURES = (
    (b"PK\x03\x04", "an Excel workbook or another ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "an SQLite database"),
)


def choose_encoding(head: bytes, wanted: str = "auto") -> str:
    """The encoding to read a file in.

    Legacy encodings are not guessed: nearly any bytes are valid in several of them, and nobody
    would notice a wrong guess.

    Args:
        head: the file's first bytes, a few kilobytes.
        wanted: one of `ENCODINGS`, or "auto".

    Raises:
        UnusableFile: the file is empty, is not text, or `wanted` is unknown.
    """
    if wanted != "auto" and wanted not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        raise UnusableFile(f"the encoding {wanted!r} is unknown; use one of: auto, {known}")
    if not head:
        raise UnusableFile("the file is empty; upload one with a header row")
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            raise UnusableFile(f"the file is {kind}, not text; export the table as CSV first")
    marked = next((name for mark, name in MARKS if head.startswith(mark)), None)
    encoding = (marked or "utf-8") if wanted == "auto" else wanted
    if encoding in WIDE and marked != encoding:
        # Without a mark Python cannot tell the order of the bytes. A header begins with ASCII.
        return f"{encoding}-be" if head.startswith(b"\0") else f"{encoding}-le"
    if encoding not in WIDE and b"\0" in head:
        raise UnusableFile(
            f"the file is binary: byte {head.index(0):,} is NUL; export the table as CSV, or, if "
            "it is UTF-16 text, start again with encoding=utf-16"
        )
    return encoding
