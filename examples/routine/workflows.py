"""A workflow for each routine task: exclusive, and scheduled as the setting `ROUTINE` says."""

from collections.abc import Mapping
from typing import Any

from examples.routine.setting import TASKS, when
from parent import Concurrency, Schedule, Step, Workflow

__all__ = ["routine", "workflows"]


def routine(name: str, task: Any, options: Mapping[str, Any] | None) -> Workflow:
    """The workflow of a routine task. One run goes on at a time: a second start says so.

    Args:
        options: of its `Schedule`; None: it never comes by itself.
    """
    return Workflow(
        name,
        title=task.title,
        description=task.description,
        steps=[Step(task, title=task.title)],
        concurrency=Concurrency(limit=1, when_full="skip"),
        schedules=[] if options is None else [Schedule(**options)],
    )


workflows = {name: routine(name, task, when(name)) for name, task in TASKS.items()}
