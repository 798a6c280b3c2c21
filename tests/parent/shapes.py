"""Workflows of many steps, and a count of the work for them."""

import sys
from collections.abc import Callable
from typing import Any

from parent import Step
from tests.flows import tasks

__all__ = ["SHAPES", "calls"]


def refuse(_run: Any) -> dict[str, Any]:
    raise ValueError("no inputs")


def parallel(size: int) -> list[Step]:
    return [_step(i, after=()) for i in range(size)]


def chain(size: int) -> list[Step]:
    return [_step(i) for i in range(size)]


def chain_declared_backwards(size: int) -> list[Step]:
    last = size - 1
    return [_step(i, after=[f"s{i + 1}"] if i < last else ()) for i in range(size)]


def fan_out(size: int) -> list[Step]:
    return [_step(0), *(_step(i, after=["s0"]) for i in range(1, size))]


def fan_in(size: int) -> list[Step]:
    names = [f"s{i}" for i in range(size - 1)]
    return [*parallel(size - 1), _step(size - 1, after=names)]


def diamonds(size: int) -> list[Step]:
    """In turn one step, two parallel steps, one step, and so on."""
    after: Callable[[int], Any] = lambda i: (  # noqa: E731
        [f"s{i - 2}", f"s{i - 1}"] if i % 3 == 0 else [f"s{i - i % 3}"]
    )
    return [_step(i, after=after(i) if i else ()) for i in range(size)]


def pairs(size: int) -> list[Step]:
    return [_step(i, after=[f"s{i - 1}"] if i % 2 else ()) for i in range(size)]


def chain_whose_first_inputs_fail(size: int) -> list[Step]:
    return [Step(tasks.noop, name="s0", inputs=refuse), *chain(size)[1:]]


def parallel_with_inputs(size: int) -> list[Step]:
    return [_step(i, after=(), inputs=lambda run: dict(run.results)) for i in range(size)]


SHAPES = (
    parallel,
    chain,
    chain_declared_backwards,
    fan_out,
    fan_in,
    diamonds,
    pairs,
    chain_whose_first_inputs_fail,
    parallel_with_inputs,
)


def _step(index: int, **options: Any) -> Step:
    return Step(tasks.noop, name=f"s{index}", **options)


def calls(work: Callable[[], Any]) -> int:
    """The number of function calls during `work`, built-in functions included.

    Unlike a time it does not depend on the load of the machine.
    """
    count = 0

    def one_more(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(one_more)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
