"""Pure decisions about limits that steps share: their sizes, and who begins next."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["LONGEST_NAME", "Size", "first_to_begin", "parse_size", "sizes_of"]

LONGEST_NAME = 100
NAME = re.compile(rf"[A-Za-z][\w.-]{{0,{LONGEST_NAME - 1}}}", re.ASCII)
MOST = 10_000
"""The most places of a limit, or begins in one period: each is a row for that long."""
PERIODS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
WORDS = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}
RATE = re.compile(r"(\d{1,6})\s*/\s*([smhd])", re.ASCII)
EXAMPLE = 'Write how many may be active at a time, such as 2, or a rate, such as "100/m".'


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many attempts a limit allows.

    Args:
        count: so many at a time; of a rate, so many begin in each period.
        period: seconds, of a rate; None is not a rate.
    """

    count: int
    period: int | None = None

    def __str__(self) -> str:
        return f"{self.count} per {WORDS[self.period]}" if self.period else str(self.count)

    def use(self, used: int) -> str:
        """How much of it is used, in words."""
        if self.period:
            return f"{used} of {self.count} begun in this {WORDS[self.period]}"
        return f"{used} of {self.count} in use"


def parse_size(given: object) -> Size:
    """The size that somebody wrote: `2`, `"2"` or `"100/m"`.

    Raises:
        ValueError: it is none; the text says what to write.
    """
    if isinstance(given, str):
        text = given.strip()
        if rate := RATE.fullmatch(text):
            count, period = int(rate[1]), PERIODS[rate[2]]
            if not 1 <= count <= MOST:
                raise ValueError(f"{given!r} is not a rate from 1 to {MOST:,}. {EXAMPLE}")
            return Size(count=count, period=period)
        given = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else given
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST:
        raise ValueError(f"{given!r} is not a size of a limit from 0 to {MOST:,}. {EXAMPLE}")
    return Size(count=given)


def sizes_of(given: object) -> Mapping[str, Size]:
    """The sizes of `WORKFLOW_LIMITS`.

    Raises:
        ValueError: a name or a size cannot be.
    """
    if not isinstance(given, Mapping):
        example = '{"gpu": 2, "mail": "100/m"}'
        raise ValueError(f"{given!r} is not a dict. Write, for example, {example}.")
    for name in given:
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise ValueError(
                f"{name!r} is not a name of a limit. Use up to {LONGEST_NAME} letters, digits "
                "and _.-, a letter first."
            )
    found = {}
    for name, size in given.items():
        try:
            found[name] = parse_size(size)
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from None
    return found


def first_to_begin(
    candidates: Iterable[str],
    names_of: Mapping[str, Collection[str]],
    lines: Mapping[str, Sequence[str]],
) -> list[str]:
    """The attempts that begin now: in each of their lines fewer wait before them than may begin.

    So nobody overtakes one that waits for several limits, and that one holds nothing meanwhile.

    Args:
        names_of: all limits of each of the candidates.
        lines: of each of these limits the first ones in line, as many as may begin.
    """
    first = {name: frozenset(line) for name, line in lines.items()}
    return [each for each in candidates if all(each in first[name] for name in names_of[each])]
