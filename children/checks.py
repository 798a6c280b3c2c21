"""System checks: a child that can never run is found at start-up, not by its first user."""

from typing import Any

from celery import current_app
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import autodiscover_modules

from children.task import ChildTask

__all__ = ["check_children"]


@register("children")
def check_children(**_: Any) -> list[CheckMessage]:
    """Every child of this process: its body, and what it takes."""
    # Not by Celery's own loader, whose Django fixup would run these checks again.
    autodiscover_modules("tasks")
    children = [task for task in current_app.tasks.values() if isinstance(task, ChildTask)]
    return [
        Error(f"Child {child.name!r}: {problem}.", hint=hint, id="children.E001")
        for child in sorted(children, key=lambda child: str(child.name))
        for problem, hint in child.problems
    ]
