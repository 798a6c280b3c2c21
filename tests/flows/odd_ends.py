"""Bodies that report, and then end as few would expect."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from children import Progress, child_task
from parent import Map, RunData, Workflow
from tests.flows.hostile import probe


class TextRaises(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class TextExits(Exception):
    def __str__(self) -> str:
        return sys.exit(3)


class ReprRaises(Exception):
    def __repr__(self) -> str:
        raise ValueError("no repr")


class ReprExits(Exception):
    def __repr__(self) -> str:
        return sys.exit(3)


class ReduceRaises(Exception):
    def __reduce__(self) -> Any:
        raise ValueError("no pickle")


class ReduceExits(Exception):
    def __reduce__(self) -> Any:
        sys.exit(3)


class ArgsRaise(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise ValueError("no args")


class NotesRaise(Exception):
    @property
    def __notes__(self) -> Any:  # type: ignore[override]
        raise ValueError("no notes")


class NotesExit(Exception):
    @property
    def __notes__(self) -> Any:  # type: ignore[override]
        sys.exit(3)


class BoolRaises(Exception):
    def __bool__(self) -> bool:
        raise ValueError("neither")


class MembersRaise(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:
        raise ValueError("no members")


class MadeOnce(Exception):
    """It exits when it is made again, as Celery does with what an exception was made of."""

    made = False

    def __init__(self, what: str) -> None:
        if MadeOnce.made:
            sys.exit(3)
        MadeOnce.made = True
        super().__init__(what)


class NoType(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise ValueError("no class")


class NamedByNobody(type):
    @property
    def __name__(cls) -> Any:  # type: ignore[override]
        raise ValueError("no name")


class HasNoName(Exception, metaclass=NamedByNobody):
    pass


class Quit(SystemExit):
    """As a framework of commands has one."""


class InterruptsToo(KeyboardInterrupt, ValueError):
    pass


class BaseTextExits(BaseException):
    def __str__(self) -> str:
        return sys.exit(3)


def of_a_text_of_bytes() -> SyntaxError:
    error = SyntaxError("it is odd")
    error.text, error.lineno, error.offset = b"bytes", 1, 1  # type: ignore[assignment]
    return error


def with_a_cause(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def in_groups(depth: int) -> Exception:
    error: Exception = ValueError("it is deep")
    for _ in range(depth):
        error = ExceptionGroup("some", [error])
    return error


class HasALock(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


class NeedsTwo(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two} are wrong")


class JSONRaises:
    def __json__(self) -> Any:
        raise ValueError("no json")


class JSONExits:
    def __json__(self) -> Any:
        sys.exit(3)


class ItemsRaise(dict[str, int]):
    def items(self) -> Any:
        raise ValueError("no items")


def circular() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "text raises": (TextRaises, "TextRaises"),
    "text exits": (TextExits, "TextExits"),
    "repr raises": (lambda: ReprRaises("it has no repr"), "it has no repr"),
    "repr exits": (lambda: ReprExits("it has no repr"), "it has no repr"),
    "reduce raises": (lambda: ReduceRaises("it has no pickle"), "it has no pickle"),
    "reduce exits": (lambda: ReduceExits("it has no pickle"), "it has no pickle"),
    "args raise": (lambda: ArgsRaise("it has no args"), "it has no args"),
    "has a lock": (lambda: HasALock("it has a lock"), "it has a lock"),
    "needs two": (lambda: NeedsTwo("one", "two"), "one and two are wrong"),
    "notes raise": (lambda: NotesRaise("it has no notes"), "it has no notes"),
    "notes exit": (lambda: NotesExit("it has no notes"), "it has no notes"),
    "bool raises": (lambda: BoolRaises("it is neither"), "it is neither"),
    "members raise": (lambda: MembersRaise("some", [KeyError("x")]), "MembersRaise"),
    "made once": (lambda: MadeOnce("it was made"), "it was made"),
    "no class": (NoType, "NoType"),
    "no name": (HasNoName, "HasNoName"),
    "an odd text": (of_a_text_of_bytes, "it is odd"),
    "a cause with notes that exit": (
        lambda: with_a_cause(ValueError("it has a cause"), NotesExit("x")),
        "it has a cause",
    ),
    "a group of exits": (lambda: ExceptionGroup("some", [TextExits()]), "some (1 sub-exception)"),
    "a group that exits in pickle": (
        lambda: ExceptionGroup("some", [ReduceExits("it has no pickle")]),
        "some (1 sub-exception): ReduceExits: it has no pickle",
    ),
    "in groups": (lambda: in_groups(3_000), "some (1 sub-exception): some"),
    "base text exits": (BaseTextExits, "BaseTextExits"),
    "quit": (lambda: Quit(4), "the body called sys.exit(4)"),
    "exit with an odd code": (lambda: SystemExit(ReprExits()), "the body called sys.exit("),
    "NUL": (lambda: ValueError("a NUL \x00 in it"), "a NUL \ufffd in it"),
    "surrogate": (lambda: ValueError("half a \ud800 of it"), "half a ? of it"),
    "interrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "an interrupt too": (lambda: InterruptsToo("it is both"), "it is both"),
    "exit": (lambda: SystemExit(0), "the body called sys.exit(0)"),
    "exit with a text": (lambda: SystemExit("bye"), "the body called sys.exit('bye')"),
    "generator exit": (GeneratorExit, "GeneratorExit"),
    "stop iteration": (lambda: StopIteration(7), "StopIteration: 7"),
    "cancelled": (asyncio.CancelledError, "CancelledError"),
    "memory": (MemoryError, "MemoryError"),
    "group": (
        lambda: ExceptionGroup("some", [TextRaises(), KeyError("x")]),
        "some (2 sub-exceptions): TextRaises; KeyError: 'x'",
    ),
    "base group": (
        lambda: BaseExceptionGroup("some", [KeyboardInterrupt()]),
        "some (1 sub-exception): KeyboardInterrupt",
    ),
}
"""What a body raises, and its error."""

RETURNED: dict[str, tuple[Callable[[], Any], str]] = {
    "json raises": (JSONRaises, "the result is not JSON: no json"),
    "json exits": (JSONExits, "the body called sys.exit(3)"),
    "items raise": (lambda: ItemsRaise(a=1), "the result is not JSON: no items"),
    "nan": (lambda: float("nan"), "the result is not JSON: Out of range float"),
    "NUL": (lambda: "a\x00b", "the result is not JSON that can be stored: a text in it has a NUL"),
    "surrogate": (lambda: "\ud800", "the result is not JSON: 'utf-8' codec can't encode"),
    "circular": (circular, "the result is not JSON: Circular reference detected"),
    "deep": (deep, "the result is not JSON: maximum recursion depth exceeded"),
    "generator": (lambda: iter(()), "the result is not JSON: Object of type tuple_iterator"),
    "exception": (lambda: ValueError("it"), "the result is not JSON: Object of type ValueError"),
}
"""What a body returns, and its error."""


def terminate_and_wait() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(60)


DIES: dict[str, Callable[[], object]] = {
    "exits": lambda: os._exit(0),
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "is terminated": terminate_and_wait,
}
"""How its process ends."""


def run_body(progress: Progress, how: str, what: str) -> Any:
    if how == "probe":
        return {**probe.run(progress), "process": os.getpid()}
    progress.update(1, 4, "its last report")
    if how == "raises":
        raise RAISED[what][0]()
    return RETURNED[what][0]() if how == "returns" else DIES[what]()


run_odd = child_task(name="odd.run")(run_body)


@child_task(name="odd.run_async")
async def run_odd_async(progress: Progress, how: str, what: str) -> Any:
    return (
        await asyncio.to_thread(lambda: None) if how == "probe" else run_body(progress, how, what)
    )


class OddParams(serializers.Serializer[None]):
    how = serializers.CharField()
    what = serializers.CharField()


def between_probes(run: RunData) -> list[dict[str, str]]:
    """All of them in one chunk, so in one process."""
    found = {"how": "probe", "what": ""}
    return [found, dict(run.params), found]


odd = Workflow(
    "odd", params=OddParams, steps=[Map(run_odd, over=between_probes, chunk=3, tolerate=3)]
)
odd_async = Workflow(
    "odd_async",
    params=OddParams,
    steps=[Map(run_odd_async, over=between_probes, chunk=3, tolerate=3)],
)
