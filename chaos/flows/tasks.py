"""The one child of the storm: it leaves a mark at each thing that it does."""

import os
import random
import time
from functools import partial
from typing import Any

from chaos import marks
from chaos.marks import What
from children import ChildTask, Progress, child_task
from children.host import HEADER

__all__ = ["Stumbled", "Work"]

LONG, STUMBLES, ASKS = 0.04, 0.02, 0.01
"""Of all bodies, the shares that take seconds, that fail, and that ask for another attempt."""


class Stumbled(Exception):
    """What a retry is for."""


@child_task(name="chaos.work")
class Work(ChildTask):
    """Some milliseconds of work, or some seconds, and sometimes an error."""

    def run(self, progress: Progress, number: int, given: dict[str, str]) -> str:
        """Returns the id of the attempt, by which its result can be told from another's.

        Args:
            number: of the run; some runs and steps are slow, and stay so at each attempt.
            given: the results of the steps before.
        """
        header: Any = (self.request.headers or {})[HEADER]
        attempt = str(self.request.id)
        mark = partial(marks.write, header["run"], header["step"], attempt, os.getpgid(0))
        mark(What.BEGINS, given)
        # No security hangs on this, and a body's luck is no part of the schedule.
        dice = random.Random(f"{number} {header['step']}")
        rounds, pause = (40, 0.1) if dice.random() < LONG else (3, dice.uniform(0.005, 0.03))
        for _ in progress.track(range(rounds)):
            time.sleep(pause)
            mark(What.GOES_ON)
        luck = random.random()
        if luck >= ASKS + STUMBLES:
            mark(What.ENDS)
            return attempt
        mark(What.FAILS)
        raise progress.retry(delay=0.5) if luck < ASKS else Stumbled("it stumbled")
