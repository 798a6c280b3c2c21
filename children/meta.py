"""The uniform meta: the one format in which every child reports its progress.

On the wire it is a dict with `iteration, total, completion, status, message, error`; an outcome
has `result` too. `Meta` is the value object, and `parse` is the only reader of the dict.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeGuard

from celery import states

from children.error_text import UNKNOWN_ERROR, error_text, text_of
from children.errors import ResultNotJSON
from children.sanitize import clean_error, clean_text, one_line, plain_json

__all__ = ["ALMOST", "LOOP", "Meta", "Number", "Status", "error_text", "parse", "whole"]

KEYS = ("iteration", "total", "completion", "status", "message", "error")
OTHER_NAMES = {
    "iteration": ("current",),
    "completion": ("percent", "progress"),
    "message": ("description",),
}
"""What foreign tasks call them: `current` and `progress` in Celery's documentation; `current`,
`percent` and `description` in celery-progress. Tutorials put the message into `status`."""

ALMOST = 99.9
"""The highest completion of a child that has not ended OK."""
LOOP = 0.99
"""The share of its room that a loop fills, because more work may follow."""

Number = int | float


class Status(StrEnum):
    """The uniform status. OK and ERROR are final."""

    PENDING = "PENDING"
    PROGRESS = "PROGRESS"
    OK = "OK"
    ERROR = "ERROR"


STATUSES = tuple(Status)


@dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    """A child's progress. `total` is None while unknown. `completion` is 0 to 100, and above
    `ALMOST` only with status OK.

    `result_size` is the size of the result's JSON in bytes, or None if there is no result or it was
    not measured. It is not on the wire.
    """

    iteration: int = 0
    total: int | None = None
    completion: float = 0.0
    status: Status = Status.PROGRESS
    message: str = ""
    error: str | None = None
    result: Any = None
    result_size: int | None = field(default=None, compare=False, repr=False)

    @property
    def final(self) -> bool:
        return self.status in (Status.OK, Status.ERROR)

    @classmethod
    def at(cls, iteration: Number, total: Number | None, message: str = "") -> "Meta":
        """The meta of a child that has done `iteration` of `total`, in one loop."""
        counted, of = whole(iteration, total)
        return cls(
            iteration=counted,
            total=of,
            completion=percent(iteration, total),
            message=clean_text(message),
        )

    def ok(self, result: Any) -> "Meta":
        """The outcome of a child that returned `result`, which becomes plain JSON.

        Raises:
            ResultNotJSON: `result` cannot be stored as JSON; the message names the type.
        """
        result, size = (None, None) if result is None else plain_json(result)
        done = replace(self, status=Status.OK, completion=100.0, error=None)
        return replace(done, result=result, result_size=size)

    def failed(self, error: str) -> "Meta":
        """The outcome of a child that failed; the counters stay."""
        return replace(
            self,
            status=Status.ERROR,
            completion=min(self.completion, ALMOST),
            error=clean_error(error) or UNKNOWN_ERROR,
            result=None,
            result_size=None,
        )

    def as_dict(self) -> dict[str, Any]:
        """The dict on the wire, with the error in one line. Only an outcome has `result`."""
        wire: dict[str, Any] = {key: getattr(self, key) for key in KEYS}
        wire["status"] = self.status.value
        wire["error"] = None if self.error is None else one_line(self.error)
        return wire | {"result": self.result} if self.final else wire


def parse(state: str, stored: object) -> Meta:
    """Read what Celery stored for any task, a child or not, as uniform meta.

    Args:
        state: a Celery state, or a custom state of the task.
        stored: the decoded result: a meta dict, a return value, an exception, or any value.

    Never raises. Malformed fields are normalised. If the outcome is unclear, the meta is an ERROR
    that says so.
    """
    match state:
        case states.PENDING | states.RECEIVED:
            return Meta(status=Status.PENDING)
        case states.STARTED:
            return _counters(stored) if isinstance(stored, Mapping) else Meta()
        case states.SUCCESS:
            return _parse_outcome(stored)
        case states.FAILURE:
            return Meta().failed(error_text(stored))
        case states.REVOKED | states.REJECTED | states.IGNORED:
            return Meta().failed(f"the task was {state.lower()} before it could finish")
        case states.RETRY:
            return Meta(message=clean_text(f"retrying after: {error_text(stored)}"))
        case _:
            return _parse_report(state, stored)


def _parse_report(state: str, stored: object) -> Meta:
    if not isinstance(stored, Mapping):
        # A custom state without a meta dict: only the state's name can be shown.
        return Meta(message=clean_text(state if stored is None else text_of(stored)))
    if stored.get("status") == Status.ERROR:
        # A pattern common in tutorials: the task reports its failure as progress, then returns.
        return _counters(stored).failed(
            error_text(stored.get("error") or "the task reported ERROR")
        )
    return _counters(stored)


def _parse_outcome(stored: object) -> Meta:
    if not (isinstance(stored, Mapping) and all(key in stored for key in KEYS)):
        return _returned(Meta(), stored)
    match stored["status"]:
        case Status.OK:
            return _returned(_counters(stored), stored.get("result"))
        case Status.ERROR:
            reason = stored["error"] or stored["message"] or "the task ended with status ERROR"
            told = reason if isinstance(reason, str) else error_text(reason)
            return _counters(stored).failed(told)
        case other:
            return _counters(stored).failed(
                f"the task returned malformed meta: status {text_of(other)!r} "
                "is neither OK nor ERROR"
            )


def _returned(meta: Meta, result: object) -> Meta:
    try:
        return meta.ok(result)
    except ResultNotJSON as exc:
        # Celery's JSON allows values that the database refuses, such as NaN.
        return meta.failed(str(exc))


def _counters(stored: Mapping[Any, Any]) -> Meta:
    """Normalise a dict's counters and message, by our names or by those of `OTHER_NAMES`."""
    given = _count(_field(stored, "iteration")) or 0, _count(_field(stored, "total"))
    completion = _field(stored, "completion")
    if not _is_number(completion):
        completion = percent(*given)
    message = _field(stored, "message")
    status = stored.get("status")
    if message is None and isinstance(status, str) and status not in STATUSES:
        message = status
    iteration, total = whole(*given)
    return Meta(
        iteration=iteration,
        total=total,
        completion=float(min(ALMOST, max(0, completion))),
        message="" if message is None else clean_text(text_of(message)),
    )


def _field(stored: Mapping[Any, Any], name: str) -> Any:
    names = (name, *OTHER_NAMES.get(name, ()))
    return next((stored[name] for name in names if name in stored), None)


def _count(value: object) -> Number | None:
    """A count that fits a database's BIGINT, or None."""
    return value if _is_number(value) and 0 <= value < 2**63 else None


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether the value is a finite number. A bool, in Python an int, is not."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def percent(iteration: Number, total: Number | None) -> float:
    """How far a loop fills the bar, in percent. 0 while the total is unknown."""
    if not total:
        return 0.0
    return min(100.0 * LOOP, max(0.0, 100.0 * iteration / total))


def whole(iteration: Number, total: Number | None) -> tuple[int, int | None]:
    """The counters as whole numbers, as the contract requires: 2.9 of 10.9 is 2 of 11."""
    if total is None:
        return math.floor(iteration), None
    return (math.ceil if iteration >= total else math.floor)(iteration), math.ceil(total)
