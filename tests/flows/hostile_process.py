"""Bodies that change what all code in their process uses: Python's functions, and logging."""

import faulthandler
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from children import Progress
from children.isolation.replaced import OWNERS
from tests.flows.hostile import body, hostile, kept, starts

__all__ = ["Later"]


def added(function: Callable[[Progress], Any]) -> Callable[[Progress], Any]:
    starts[function.__name__] = partial(hostile.start, body=function.__name__)
    return body(function)


class Replaced(Exception):
    pass


def replaced(*_: Any, **__: Any) -> Any:
    raise Replaced


@added
def replaces_what_python_has(progress: Progress) -> None:
    """But for its builtins, without which the body cannot go on."""
    for owner, names in OWNERS[:-1]:
        for name in names.split():
            setattr(owner, name, replaced)
    for number in (1, 2):
        with suppress(Exception):
            progress.update(number, 2)


@added
def leaves_a_watchdog(progress: Progress) -> None:
    kept.append(open("/dev/null", "w"))  # noqa: SIM115 - it stays open
    faulthandler.dump_traceback_later(0.2, exit=True, file=kept[-1])


@added
def leaves_filters_that_raise(progress: Progress) -> None:
    for name in ("parent", "children", "children.task", "celery.app.trace"):
        logging.getLogger(name).addFilter(replaced)
    for handler in logging.root.handlers:
        handler.addFilter(replaced)
    logging.root.addFilter(replaced)


@added
def keeps_the_locks_of_the_logs(progress: Progress) -> None:
    for handler in logging.root.handlers:
        handler.acquire()


class Later(dict[str, int]):
    """Its method exits when it is called again, after the body."""

    asked = 0

    def items(self) -> Any:
        self.asked += 1
        if self.asked > 1:
            sys.exit(5)
        return super().items()


@added
def returns_what_exits_later(progress: Progress) -> Any:
    return [Later(a=1)]
