"""System checks: a workflow that cannot run is found at start-up, not by its first user."""

import re
from collections.abc import Iterator
from typing import Any

from celery import Task, current_app
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import autodiscover_modules

from parent.definition import validation
from parent.definition.workflow import Step, Workflow, registry
from parent.store.files import has_files_inside

__all__ = ["check_workflows"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
PERMISSION = re.compile(r"[^\W\d]\w*\.\w+")


@register("workflows")
def check_workflows(**_: Any) -> list[CheckMessage]:
    """Every registered workflow: names, graph and tasks."""
    found: list[CheckMessage] = [
        Error(
            f"Two workflows are named {name!r}.",
            hint="Rename one; the name is part of its URL and of its Celery task's name.",
            id="workflows.E001",
        )
        for name in sorted(set(registry.duplicates()))
    ]
    if registry.workflows():
        # Tasks given by name are known only when every tasks.py was read. Not by Celery's own
        # loader, whose Django fixup would run these checks again.
        autodiscover_modules("tasks")
    for workflow in registry.workflows():
        found += check_workflow(workflow)
    return found


def check_workflow(workflow: Workflow) -> Iterator[CheckMessage]:
    """One workflow's problems."""
    if not NAME.fullmatch(workflow.name):
        yield _error(
            workflow,
            "its name is not usable in a URL",
            "Use letters, digits, - and _, up to 100, a letter first.",
            "E002",
        )
    if workflow.params is not None and "owner" in getattr(workflow.params(), "fields", ()):
        yield _error(
            workflow,
            "a parameter cannot be named 'owner'",
            "Rename it: `start(owner=...)` names the user whose run it is.",
            "E006",
        )
    for name, field in getattr(workflow.params and workflow.params(), "fields", {}).items():
        if has_files_inside(field):
            yield _error(
                workflow,
                f"the parameter {name!r} has files inside, which nobody would store",
                "Make each a parameter of its own: FileField() or ListField(child=FileField()).",
                "E010",
            )
    if workflow.permission is not None and not (
        isinstance(workflow.permission, str) and PERMISSION.fullmatch(workflow.permission)
    ):
        yield _error(
            workflow,
            f"{workflow.permission!r} is not the name of a permission",
            "Write it as Django does, app and codename: 'shop.start_report'.",
            "E007",
        )
    no_tasks = [step.task for step in workflow.steps if not isinstance(step.task, Task | str)]
    for body in no_tasks:
        yield _error(
            workflow,
            f"{body!r} is not a Celery task",
            "Decorate the function with @child_task.",
            "E004",
        )
    if no_tasks:
        return  # they have no names, and without names there is no graph
    for problem, hint in validation.problems(workflow):
        yield _error(workflow, problem, hint, "E003")
    for step in workflow.steps:
        if step.task_name not in current_app.tasks:
            yield _error(
                workflow,
                f"the task {step.task_name!r} of step {step.label!r} is not registered",
                "Put it into the tasks.py of an app in INSTALLED_APPS.",
                "E005",
            )
        yield from _child_problems(workflow, step)


def _child_problems(workflow: Workflow, step: Step) -> Iterator[CheckMessage]:
    """What this child cannot do as a step; `children.checks` says what it never can."""
    child = step.child
    if child is None:
        return
    for problem, hint in child.step_problems:
        yield _error(workflow, f"the task of step {step.label!r} {problem}", hint, "E008")
    fields = getattr(workflow.params(), "fields", {}) if workflow.params and not step.inputs else {}
    for name in sorted(child.reserved & set(fields)):
        yield _error(
            workflow,
            f"step {step.label!r} would get the parameter {name!r}, which its body has for its own",
            "Rename the parameter, or say by Step(..., inputs=...) what the child gets.",
            "E009",
        )


def _error(workflow: Workflow, problem: str, hint: str, number: str) -> Error:
    return Error(f"Workflow {workflow.name!r}: {problem}.", hint=hint, id=f"workflows.{number}")
