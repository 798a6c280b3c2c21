"""System checks: a child that cannot run is found at start-up, not at its first use."""

from typing import Any

from celery import current_app
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import autodiscover_modules

from children.task import ChildTask

__all__ = ["check_children"]


@register("children")
def check_children(**_: Any) -> list[CheckMessage]:
    """Check the body and the parameters of each registered child."""
    # Not with Celery's loader: its Django fixup would run these checks again.
    autodiscover_modules("tasks")
    children = [task for task in current_app.tasks.values() if isinstance(task, ChildTask)]
    return [
        Error(f"Child {child.name!r}: {problem}.", hint=hint, id="children.E001")
        for child in sorted(children, key=lambda child: str(child.name))
        for problem, hint in child.problems
    ]
