"""What an author declares about how many runs of a workflow may go on at the same time."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rest_framework.serializers import BaseSerializer

from children.isolation.contained import contained
from children.meta import error_text
from children.sanitize import clean_text, plain_json
from parent.errors import InvalidParams

__all__ = ["Concurrency", "concurrency_problems"]

WhenFull = Literal["queue", "skip", "return_existing", "cancel_running"]
LONGEST_KEY = 200
NO_FIELD = "non_field_errors"


@dataclass(frozen=True, kw_only=True)
class Concurrency:
    """How many runs of a workflow may go on at the same time, from their start to their end.

    Args:
        key: runs with the same key share the places: the name of a parameter, or a function of
            the validated parameters, as they are stored, which returns JSON, and not None. None:
            all runs of the workflow share them.
        limit: how many places there are.
        when_full: what a start does when no place is free. "queue": the run waits for its turn,
            first come, first served. "skip": no run is written, and `AlreadyRunning` is raised,
            which has the run that is there. "return_existing": that run is returned.
            "cancel_running": the oldest run is cancelled, and so are those that wait; the new one
            begins when it has ended.
    """

    key: str | Callable[[Mapping[str, Any]], Any] | None = None
    limit: int = 1
    when_full: WhenFull = "queue"

    def key_of(self, params: Mapping[str, Any]) -> str:
        """The key of a run with these stored parameters: `shop=7`; empty without a `key`.

        Raises:
            InvalidParams: there is no such value, it is not JSON, or the key is too long.
        """
        if self.key is None:
            return ""
        if isinstance(self.key, str):
            field, value = self.key, params.get(self.key)
            if value is None:
                raise InvalidParams({field: ["Required: runs with the same value share a limit."]})
            text = f"{field}={_as_text(value)}"
        else:
            field = NO_FIELD
            try:
                with contained():
                    text = _as_text(self.key(params))
            except Exception as exc:
                raise InvalidParams(
                    {
                        field: [
                            f"The key of the workflow's limit could not be made: {error_text(exc)}"
                        ]
                    }
                ) from exc
        if len(text) > LONGEST_KEY or text != clean_text(text):
            raise InvalidParams(
                {field: [f"A limit's key: write one line of at most {LONGEST_KEY} characters."]}
            )
        return text


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError("it is None")
    # What is not JSON, as an object or a set, has another text in each call or process.
    return json.dumps(plain_json(value, "it is")[0], sort_keys=True)


def concurrency_problems(
    found: object, params: type[BaseSerializer[Any]] | None
) -> Iterator[tuple[str, str]]:
    """What is wrong with a declared `Concurrency`; each problem with a hint."""
    if found is None:
        return
    if not isinstance(found, Concurrency):
        yield f"it has concurrency={found!r}", "Write concurrency=Concurrency(limit=1)."
        return
    limit: object = found.limit
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        yield f"its concurrency has limit={limit!r}", "Give a whole number from 1."
    if found.when_full not in get_args(WhenFull):
        words = ", ".join(map(repr, get_args(WhenFull)))
        yield f"its concurrency has when_full={found.when_full!r}", f"Give one of {words}."
    if isinstance(found.key, str):
        fields = _fields(params)
        if fields is not None and found.key not in fields:
            yield (
                f"its concurrency has key={found.key!r}, which is not a parameter",
                f"Its parameters are: {', '.join(sorted(fields)) or 'none'}.",
            )
    elif found.key is not None and not callable(found.key):
        yield (
            f"its concurrency has key={found.key!r}",
            "Give the name of a parameter, or a function of the parameters.",
        )


def _fields(params: type[BaseSerializer[Any]] | None) -> set[str] | None:
    """The names of the parameters; None if they are not known."""
    fields = getattr(params() if params else None, "fields", None)
    return set() if params is None else None if fields is None else set(fields)
