"""Reads the body and options given to `@child_task`, and finds what cannot work."""

import builtins
import inspect
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from celery.utils.functional import head_from_fun

from children.declaration import retrying

__all__ = ["Problem", "Signature", "function_of", "step_problems"]

Problem = tuple[str, str]
"""What is wrong, and what to write instead."""

VALUES = (
    *(int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset),
    *(date, time, timedelta, Decimal, UUID, PurePath, Enum),
)
COLLECTIONS = (abc.Collection, abc.Iterable, abc.Iterator, abc.Mapping, abc.Sequence, abc.Set)
WRITE = "def total(progress, prices): ..."

IN_A_STEP: Mapping[str, Problem] = {
    "expires": (
        "a message that is late is sent again",
        "Give the step a limit instead: Step(..., queue_timeout=60).",
    ),
    "serializer": (
        "a step's inputs are JSON",
        "Leave it out, and let the body decode what JSON has no type for.",
    ),
    "track_started": (
        "the step's row says when it started",
        "Leave it out: Celery's STARTED would overwrite the child's meta.",
    ),
    "store_errors_even_if_ignored": (
        "the step's row has the error",
        "Leave it out: Celery would store a result that nobody deletes.",
    ),
    "Request": (
        "ChildTask's own class detects a process that dies",
        "Leave it out, or make it a subclass of children.worker.request.ChildRequest.",
    ),
}
"""Options that work for a plain task, but not for a task that is a step."""
HARMLESS: Mapping[str, tuple[Any, ...]] = {"serializer": ("json",)}
OF_A_STEP = (
    *("retries", "retry_delay", "backoff", "retry_on"),
    *("queue_timeout", "run_timeout", "stall_timeout"),
)
"""Options of a step. Celery takes an option of any name, and would ignore these."""


class Signature:
    """The parameters of a body: `self` if it has one, then the progress, then the inputs.

    Args:
        function: the function, with `self` among its parameters.
        own: the number of parameters that are not inputs: 1, or 2 with `self`.
    """

    def __init__(self, function: Callable[..., Any], own: int) -> None:
        self._function = function
        self._own = own
        every = list(inspect.signature(function, follow_wrapped=False).parameters.values())
        self._positional = [
            p for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self._every = every

    @property
    def head(self) -> Any:
        """The signature that Celery checks a call against: only the inputs."""
        return staticmethod(partial(head_from_fun(self._function), *[None] * self._own))

    @property
    def reserved(self) -> frozenset[str]:
        """Names that an input cannot have."""
        own = self._positional[: self._own]
        return frozenset(p.name for p in own if p.kind is p.POSITIONAL_OR_KEYWORD)

    def problems(self) -> Iterator[Problem]:
        """The reasons why the body cannot run."""
        yield from self._kind_problems()
        takes_more = any(p.kind is p.VAR_POSITIONAL for p in self._every)
        if len(self._positional) < self._own:
            if not takes_more:
                yield "its body takes no progress", f"Let it be the first parameter: {WRITE}"
            return
        if self._own == 1 and self._positional[0].name == "self":
            yield (
                "its first parameter is self, but it is not a method",
                "Write @child_task(bind=True) to get the task there, or leave self out.",
            )
            return
        yield from self._progress_problems(self._positional[self._own - 1])
        for parameter in self._positional[self._own :]:
            if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
                yield (
                    f"its input {parameter.name!r} is positional-only, and inputs come by name",
                    "Put the / right after progress, or leave it out.",
                )

    def _kind_problems(self) -> Iterator[Problem]:
        if inspect.isgeneratorfunction(self._function) or inspect.isasyncgenfunction(
            self._function
        ):
            yield (
                "its body is a generator, whose values would be lost",
                "Call progress.update(...) instead of each yield, and return the result.",
            )

    def _progress_problems(self, first: inspect.Parameter) -> Iterator[Problem]:
        later = any(p.name == "progress" for p in self._every if p is not first)
        misplaced = later and first.annotation is first.empty
        if first.name != "progress" and (misplaced or self._is_value(first.annotation)):
            yield (
                f"its body takes {first.name!r} where the progress comes",
                f"Let progress be the first parameter: {WRITE}",
            )

    def _is_value(self, annotation: Any) -> bool:
        """Whether the annotation says that it is not `progress`. If unsure, False."""
        if isinstance(annotation, str):
            if "|" in annotation and "[" not in annotation:
                names = {name.strip() for name in annotation.split("|")} - {"None"}
                return all(map(self._is_value, names))
            annotation = self._named(annotation.partition("[")[0].strip())
        parts = get_args(annotation)
        kind = get_origin(annotation) or annotation
        if kind in (Union, UnionType):
            return all(part is NoneType or self._is_value(part) for part in parts)
        return isinstance(kind, type) and (issubclass(kind, VALUES) or kind in COLLECTIONS)

    def _named(self, name: str) -> Any:
        """What the annotation `name` means in the function's module; None if it is unknown."""
        first, *rest = name.split(".")
        found = getattr(self._function, "__globals__", {}).get(first, vars(builtins).get(first))
        for part in rest:
            found = getattr(found, part, None)
        return found


def function_of(body: Any) -> tuple[Callable[..., Any], int]:
    """The function of a body, and how many of its parameters Python fills.

    Raises:
        TypeError: the body cannot become a child.
    """
    if isinstance(body, staticmethod):
        return function_of(body.__func__)
    if inspect.ismethod(body):
        return body.__func__, 1
    if isinstance(body, classmethod):
        raise TypeError(f"a classmethod has no class yet: write a function, such as {WRITE}")
    if not callable(body):
        raise TypeError(f'{body!r} is not a function: write @child_task(name="shop.total")')
    if getattr(body, "__name__", "<lambda>") == "<lambda>":
        raise TypeError(f"{body!r} has no name of its own: write a function, such as {WRITE}")
    return body, 0


def step_problems(options: Mapping[str, Any]) -> Iterator[Problem]:
    """The options of a task that a step cannot honour: each problem with its remedy."""
    for name, (why, instead) in IN_A_STEP.items():
        value = options.get(name)
        if value and value not in HARMLESS.get(name, ()):
            yield f"has the option {name}, and {why}", instead
    for name in OF_A_STEP:
        # A class may have a method of that name.
        if name in options and not inspect.isroutine(options[name]):
            yield (
                f"has the option {name}, which does nothing in a child",
                f"Give it to the step: Step(..., {name}=...).",
            )
    for problem, instead in retrying.problems(options):
        yield f"cannot be: {problem}", instead
