"""The children of the chaos test: they log each thing that they do."""

import os
import random
import time
from functools import partial
from typing import Any

from chaos import event_log
from chaos.event_log import EventKind, Inputs
from children import ChildTask, Progress, child_task
from children.host import HEADER

__all__ = ["Broken", "RandomFailure", "Work"]

LONG, FAILS, ASKS_FOR_RETRY = 0.04, 0.02, 0.01
"""The shares of bodies that take seconds, that fail, and that ask for another attempt."""


class RandomFailure(Exception):
    """An error that a retry is for."""


class Broken(Exception):
    """An error that no retry is for."""


@child_task(name="chaos.work")
class Work(ChildTask):
    """Some milliseconds of work, or some seconds, and sometimes an error."""

    def run(self, progress: Progress, number: int, results: Inputs, broken: bool = False) -> str:
        """Return the id of the attempt, which tells its result from another attempt's.

        Args:
            number: of the run; some runs and steps are slow, and stay slow at each attempt.
            results: of the steps before.
            broken: it fails in each attempt.
        """
        header: Any = (self.request.headers or {})[HEADER]
        attempt = str(self.request.id)
        log = partial(event_log.write, header["run"], header["step"], attempt, os.getpgid(0))
        log(EventKind.STARTED, results)
        # Not for security, and what a body does is not part of the schedule.
        dice = random.Random(f"{number} {header['step']}")
        rounds, pause = (40, 0.1) if dice.random() < LONG else (3, dice.uniform(0.005, 0.03))
        for _ in progress.track(range(rounds)):
            time.sleep(pause)
            log(EventKind.RUNNING)
        if broken:
            log(EventKind.BROKEN)
            raise Broken("as always")
        luck = random.random()
        if luck >= ASKS_FOR_RETRY + FAILS:
            log(EventKind.FINISHED)
            return attempt
        log(EventKind.FAILED)
        raise progress.retry(delay=0.5) if luck < ASKS_FOR_RETRY else RandomFailure("by chance")
