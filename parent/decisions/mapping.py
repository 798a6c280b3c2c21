"""Pure decisions about a mapped step: its items, how many may fail, its progress and outcome."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, Self

from children.errors import ResultNotJSON
from children.isolation.contained import contained
from children.meta import ALMOST, Meta, error_text
from children.sanitize import check_json, clean_text

__all__ = [
    "FIRST_PLACES",
    "MOST_PLACES",
    "NAMED",
    "Counts",
    "Frozen",
    "InvalidItems",
    "allowed_failures",
    "copied",
    "freeze",
    "outcome",
    "places",
    "progress",
    "tolerate_problem",
]

FIRST_PLACES, MOST_PLACES = 32, 1_000
"""Messages of one mapped step at a time, if its author sets no lower limit: at first, at most."""
LONGEST_KEY = 200
NAMED = 3
"""How many failed items the error of a step names."""


class InvalidItems(ValueError):
    """What `over` gave cannot become items. The message says which item, and what to write."""


class Frozen(NamedTuple):
    """An item as it is stored: its key, and the keyword arguments of its child."""

    key: str
    kwargs: dict[str, Any]


def freeze(
    given: Any,
    *,
    limit: int | None = None,
    key: str | Callable[[Any], Any] | None = None,
    argument: str | None = None,
    check_arguments: Callable[..., Any] | None = None,
) -> list[Frozen]:
    """The items that `over` gave.

    Args:
        given: a list, a tuple or an iterator of JSON values.
        limit: how many there may be; None is no limit.
        key: the name of an input, or a function of the item; None takes the index.
        argument: the name of the child's first input, for items that are not mappings.
        check_arguments: raises a TypeError if keyword arguments do not fit the child.

    Raises:
        InvalidItems: with the first item at fault.
    """
    frozen: list[Frozen] = []
    places: dict[str, int] = {}
    for index, item in enumerate(_listed(given)):
        if limit is not None and index >= limit:
            raise InvalidItems(
                f"`over` gave more than {limit:,} items, which the setting WORKFLOW_MAP_LIMIT "
                "allows: let each item stand for several, or raise the setting"
            )
        kwargs = _inputs_of(item, index, argument)
        _check_json(kwargs, index)
        kwargs = copied(kwargs)  # an iterator, or `key`, may change it, and it is written later
        name = _key_of(item, index, key)
        if name in places:
            raise InvalidItems(
                f"items {places[name]} and {index} have the same key {name!r}: keys must differ"
            )
        places[name] = index
        if check_arguments is not None:
            try:
                check_arguments(**kwargs)
            except TypeError as exc:
                raise InvalidItems(f"item {index} does not fit its child: {exc}") from exc
        frozen.append(Frozen(name, kwargs))
    return frozen


def _listed(given: Any) -> Iterable[Any]:
    if isinstance(given, list | tuple | Iterator):
        return given
    raise InvalidItems(
        f"`over` gave a value of type {type(given).__name__}, not a list: return a list of items, "
        "each of them the child's keyword arguments or its one argument"
    )


def _inputs_of(item: Any, index: int, argument: str | None) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return dict(item)
    if argument is None:
        raise InvalidItems(
            f"item {index} is not a mapping, and its child takes no single argument: return "
            "dicts of keyword arguments"
        )
    return {argument: item}


def _check_json(kwargs: Mapping[str, Any], index: int) -> None:
    try:
        check_json(kwargs, f"item {index} is")
    except ResultNotJSON as exc:
        raise InvalidItems(str(exc)) from exc
    if not all(isinstance(name, str) for name in kwargs):
        raise InvalidItems(f"item {index} has a key that is not text: keyword arguments have names")


def copied(value: Any) -> Any:
    """The same JSON, with nothing in it that somebody else may change."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [copied(inner) for inner in value]
    return value


def _key_of(item: Any, index: int, key: str | Callable[[Any], Any] | None) -> str:
    if key is None:
        return str(index)
    try:
        with contained():
            value = key(item) if callable(key) else item[key]
    except Exception as exc:
        what = "raised" if callable(key) else "is not there"
        raise InvalidItems(f"the key of item {index} {what}: {error_text(exc)}") from exc
    if isinstance(value, bool) or not isinstance(value, str | int):
        kind = type(value).__name__  # its text may be long, or raise
        raise InvalidItems(
            f"the key of item {index} is of type {kind}: keys are texts or whole numbers"
        )
    try:
        with contained():
            text = str(value)
    except Exception as exc:  # a number with thousands of digits, or a class of its own
        raise InvalidItems(f"the key of item {index} has no text: {error_text(exc)}") from exc
    if not 0 < len(text) <= LONGEST_KEY or text != clean_text(text):
        raise InvalidItems(
            f"the key of item {index} is {clean_text(text)!r}: keys are one line of 1 to "
            f"{LONGEST_KEY} characters"
        )
    return text


def tolerate_problem(tolerate: Any) -> str | None:
    """What is wrong with a declared `tolerate`; None if it is a number or a share."""
    try:
        allowed_failures("x" if isinstance(tolerate, bool) else str(tolerate), 0)
    except (ValueError, ZeroDivisionError):
        return "give a number of items, such as 3, or a share, such as '5%'"
    return None


def allowed_failures(tolerate: str, total: int) -> int:
    """How many of `total` items may fail, rounded down.

    Args:
        tolerate: a number, or a share with a `%`; empty is none.

    Raises:
        ValueError: it is neither.
    """
    if not tolerate:
        return 0
    text, is_share = tolerate.removesuffix("%").strip(), tolerate.endswith("%")
    value = Fraction(text)
    if value < 0 or (is_share and value > 100) or (not is_share and value.denominator != 1):
        raise ValueError(tolerate)
    return int(total * value / 100) if is_share else min(total, int(value))


def places(max_active: int | None, running: int = 0) -> int:
    """How many messages of a step may be queued or at work at a time.

    As many are queued as are at work, so that no slot waits for a tick. More would only cost
    messages: a process goes on with the next item without one.

    Args:
        running: how many items run. Each has a message at work.
    """
    return min(max_active or MOST_PLACES, MOST_PLACES, max(FIRST_PLACES, 2 * running))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many items of a step are in which state.

    `opened` are those that no longer wait. `running` and `running_completion`, the sum of their
    completions, are left out where nothing runs.
    """

    total: int
    opened: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    running: int = 0
    running_completion: float = 0.0

    @classmethod
    def of(cls, shown: Mapping[str, int]) -> Self:
        """The counts of a step none of whose items is active, from what people see."""
        ended = {name: shown[name] for name in ("ok", "failed", "skipped", "cancelled")}
        return cls(total=shown["total"], opened=shown["total"] - shown["waiting"], **ended)

    @property
    def ended(self) -> int:
        return self.ok + self.failed + self.skipped + self.cancelled

    def as_dict(self) -> dict[str, int]:
        """The counters that people see. No number is below 0, whatever was read when."""
        running = min(self.running, max(0, self.total - self.ended))
        waiting = min(max(0, self.total - self.opened), self.total - self.ended - running)
        return {
            "total": self.total,
            "waiting": max(0, waiting),
            "queued": max(0, self.total - self.ended - running - max(0, waiting)),
            "running": running,
            "ok": self.ok,
            "failed": self.failed,
            "skipped": self.skipped,
            "cancelled": self.cancelled,
        }


def progress(counts: Counts, before: float = 0.0, *, more_of: str = "") -> Meta:
    """The joint progress: the items that have ended, and the running ones by their completion.

    Args:
        before: the completion that was shown before; it never goes back.
        more_of: the signal of which more may come. Until then nobody knows how much there is to do.
    """
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    if more_of:
        so_far = f"{counts.ended:,} of {counts.total:,} so far{failed}; " if counts.total else ""
        text = f"{so_far}waits for {more_of}"
        return Meta(iteration=counts.ended, total=None, completion=before, message=text)
    done = 100.0 * counts.ended + counts.running_completion
    completion = min(ALMOST, done / counts.total) if counts.total else 0.0
    return Meta(
        iteration=counts.ended,
        total=counts.total,
        completion=max(before, completion),
        message=f"{counts.ended:,} of {counts.total:,}{failed}",
    )


def outcome(name: str, counts: Counts, tolerate: str, first_errors: Sequence[str] = ()) -> Meta:
    """The outcome of a mapped step none of whose items is left.

    Args:
        name: the step's.
        first_errors: of its first failed items, which they name.
    """
    meta = progress(counts)
    allowed, not_run = allowed_failures(tolerate, counts.total), counts.skipped + counts.cancelled
    if counts.failed <= allowed and not_run:
        # One failed item was retried by itself.
        return meta.failed(
            f"Error in {name}: {not_run} of {counts.total} items have not run. Retry the step to "
            "run them"
        )
    if counts.failed <= allowed:
        return meta.ok(counts.as_dict())
    named = "; ".join(error.removeprefix("Error in ") for error in first_errors[:NAMED])
    more = "; ..." if counts.failed > NAMED else ""
    but = f", and {allowed} may" if allowed else ""
    skipped = f"; {counts.skipped} were skipped" if counts.skipped else ""
    return meta.failed(
        f"Error in {name}: {counts.failed} of {counts.total} items failed{but}{skipped}. "
        f"{named}{more}"
    )
