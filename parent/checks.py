"""System checks: they report a workflow that cannot run at start-up, before any user starts it."""

import re
from collections.abc import Iterator
from typing import Any

from celery import Task, current_app
from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.functional import Promise
from django.utils.module_loading import autodiscover_modules

from children.meta import error_text
from children.sanitize import clean_text, one_line
from parent.definition.mapping import Map
from parent.definition.notify import Email, as_words
from parent.definition.parameters import inputs_check, stored_params
from parent.definition.signals import Approval, Awaited, awaited_steps, signal_problems
from parent.definition.validation.functions import function_problems
from parent.definition.validation.nesting import circle_of
from parent.definition.validation.option_types import option_problems
from parent.definition.validation.steps import steps_problems
from parent.definition.workflow import Step, Workflow, registry
from parent.messages.publish import queue_problem
from parent.notifications import rule_problems
from parent.runs.signals.payload import OF_DECISION, serializer_of
from parent.schedules.validation import declared_problems
from parent.store.files import has_files_inside, place_problem, takes_files

__all__ = ["check_workflows"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
LONGEST_TITLE = 100  # characters
SCHEDULES = {"schedule": "E016", "params": "E017", "name": "E018"}
PERMISSION = re.compile(r"[^\W\d]\w*\.\w+")


@register("workflows")
def check_workflows(**_: Any) -> list[CheckMessage]:
    """Check every registered workflow: its names, its steps and their tasks."""
    messages: list[CheckMessage] = [
        Error(
            f"Two workflows are named {name!r}.",
            hint="Rename one; the name is part of its URL and of its Celery task's name.",
            id="workflows.E001",
        )
        for name in sorted(set(registry.duplicates()))
    ]
    if registry.workflows():
        # Tasks that steps name are registered only after every tasks.py was imported. Celery's own
        # loader is not used: its Django fixup would run these checks again.
        autodiscover_modules("tasks")
    for workflow in registry.workflows():
        messages += _all_problems(workflow)
    return messages


def _all_problems(workflow: Workflow) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    try:
        found.extend(check_workflow(workflow))
    except Exception as exc:  # from the author's code: a serializer, a text that is made when read
        hint = "Look for what its params, forms, texts or functions do when they are read."
        found.append(
            _error(workflow, f"its check failed: {one_line(error_text(exc))}", hint, "E024")
        )
    return found


def check_workflow(workflow: Workflow) -> Iterator[CheckMessage]:
    """The problems of one workflow."""
    wrong = list(option_problems(workflow))
    for problem, hint in wrong:
        yield _error(workflow, problem, hint, "E003")
    if wrong:  # the other checks count and compare what they are given
        return
    yield from _own_problems(workflow)
    yield from _notify_problems(workflow)
    kinds = (Task, str, Workflow)
    no_tasks = [step.task for step in workflow.steps if not isinstance(step.task, kinds)]
    for task in no_tasks:
        yield _error(
            workflow,
            f"{task!r} is neither a Celery task nor a workflow",
            "Decorate the function with @child_task.",
            "E004",
        )
    if no_tasks:
        return  # without tasks the steps have no names, and the graph cannot be checked
    for problem, hint in (*steps_problems(workflow), *function_problems(workflow)):
        yield _error(workflow, problem, hint, "E003")
    yield from _graph_problems(workflow)
    yield from _step_problems(workflow)
    for kind, problem, hint in declared_problems(workflow):
        yield _error(workflow, problem, hint, SCHEDULES[kind])


def _own_problems(workflow: Workflow) -> Iterator[CheckMessage]:
    """The problems of its name, its parameters, its permission and its titles."""
    if not NAME.fullmatch(workflow.name):
        yield _error(
            workflow,
            "its name is not usable in a URL",
            "Use letters, digits, - and _, up to 100, a letter first.",
            "E002",
        )
    fields = getattr(workflow.params and workflow.params(), "fields", {})
    if any(map(takes_files, fields.values())) and (found := place_problem()):
        problem, hint = found
        yield _warning(workflow, f"it takes files, and {problem}", hint, "W002")
    for name, field in fields.items():
        if has_files_inside(field):
            yield _error(
                workflow,
                f"the parameter {name!r} has nested files, which would not be stored",
                "Make each a parameter of its own: FileField() or ListField(child=FileField()).",
                "E010",
            )
    for problem, hint in stored_params.problems(workflow.params and workflow.params()):
        yield _error(workflow, problem, hint, "E015")
    if not _is_permission(workflow.permission):
        yield _error(
            workflow,
            f"{workflow.permission!r} is not the name of a permission",
            "Write it as Django does, app and codename: 'shop.start_report'.",
            "E007",
        )
    for title in (workflow.title, *(step.title for step in workflow.all_steps)):
        if not _is_title(title):
            yield _error(
                workflow,
                f"{title!r} is not a title",
                f"Write one line of text, up to {LONGEST_TITLE} characters.",
                "E013",
            )


def _graph_problems(workflow: Workflow) -> Iterator[CheckMessage]:
    """Workflows inside of themselves, and what is wrong with signals and approvals."""
    if circle := circle_of(workflow, registry.workflows()):
        yield _error(
            workflow,
            f"it is inside of itself, and nothing says how deep: {circle}",
            "Take one of these steps out, or give one a bound: Step(..., max_depth=3).",
            "E020",
        )
    for problem, hint in signal_problems(workflow):
        yield _error(workflow, problem, hint, "E021")
    for awaited in awaited_steps(workflow):
        yield from _awaited_problems(workflow, awaited)


def _notify_problems(workflow: Workflow) -> Iterator[CheckMessage]:
    """The problems of its rules, and of the settings that they need."""
    if not isinstance(workflow.notify, list | tuple):
        yield _error(
            workflow, "notify is not a list", "Write notify=[Email(...), Webhook(...)].", "E019"
        )
        return
    wrong = [found for rule in workflow.notify for found in rule_problems.problems(rule)]
    for problem, hint in wrong:
        yield _error(workflow, problem, hint, "E019")
    if wrong:
        return
    to = [each for rule in workflow.notify if isinstance(rule, Email) for each in as_words(rule.to)]
    for problem, hint in rule_problems.email_settings_problems(to):
        yield _warning(workflow, problem, hint, "W001")


def _step_problems(workflow: Workflow) -> Iterator[CheckMessage]:
    """The problems of its steps, which are tasks."""
    for step in workflow.steps:
        if isinstance(step, Awaited):
            continue
        if step.task_name not in current_app.tasks:
            yield _error(
                workflow,
                f"the task {step.task_name!r} of step {step.label!r} is not registered",
                "Put it into the tasks.py of an app in INSTALLED_APPS.",
                "E005",
            )
        elif problem := queue_problem(step.queue or "", step.task_name):
            yield _error(
                workflow,
                f"the messages of step {step.label!r} cannot be sent: {problem}",
                "Name the queue there, or leave task_create_missing_queues on.",
                "E025",
            )
        yield from _child_problems(workflow, step)
        for problem, hint in inputs_check.fit_problems(workflow, step):
            yield _error(workflow, problem, hint, "E011")
    for problem, hint in inputs_check.read_problems(workflow):
        yield _error(workflow, problem, hint, "E012")


def _awaited_problems(workflow: Workflow, step: Awaited) -> Iterator[CheckMessage]:
    """The problems of what a signal or an approval takes, and of who may give it."""
    what = f"the {step.awaits} {step.label!r}"
    if not _is_permission(step.permission):
        yield _error(
            workflow,
            f"{what} has {step.permission!r}, which is not the name of a permission",
            "Write it as Django does, app and codename: 'shop.release'.",
            "E022",
        )
    kind = serializer_of(step)
    for name, field in getattr(kind and kind(), "fields", {}).items():
        if takes_files(field) or has_files_inside(field):
            yield _error(
                workflow,
                f"{what} takes the file {name!r}, and only values can be given",
                "Take the files at the start, or upload them elsewhere and give their names.",
                "E023",
            )
    form = getattr(step.form and step.form(), "fields", {}) if isinstance(step, Approval) else {}
    for name in form:
        if name in OF_DECISION:
            yield _error(
                workflow,
                f"the form of {what} has the field {name!r}, which every approval has",
                "Rename the field.",
                "E023",
            )


def _is_permission(name: object) -> bool:
    """Whether it is `app.codename`, or None for no permission."""
    return name is None or (isinstance(name, str) and bool(PERMISSION.fullmatch(name)))


def _is_title(title: object) -> bool:
    """Whether it is one line of text, or empty. The text may be translated."""
    text = str(title)
    return (
        isinstance(title, str | Promise) and len(text) <= LONGEST_TITLE and clean_text(text) == text
    )


def _child_problems(workflow: Workflow, step: Step) -> Iterator[CheckMessage]:
    """Problems of this child as a step; `children.checks` reports those that do not need a step."""
    child = step.child
    if child is None:
        if isinstance(step, Map) and not step.nested and step.task_name in current_app.tasks:
            yield _error(
                workflow,
                f"the task of step {step.label!r} is neither a child nor a workflow, and a Map "
                "needs one",
                "Decorate the function with @child_task, or call the task in a child.",
                "E014",
            )
        return
    for problem, hint in child.step_problems:
        yield _error(workflow, f"the task of step {step.label!r} {problem}", hint, "E008")
    serializer = workflow.params() if workflow.params and step.gets_params else None
    fields = getattr(serializer, "fields", {})
    for name in sorted(child.reserved & set(fields)):
        if name not in ("progress", "self"):
            yield _error(
                workflow,
                f"the task of step {step.label!r} takes {name!r}, which is a parameter, where the "
                "progress comes",
                f"Let progress be its first parameter: def total(progress, {name}): ...",
                "E009",
            )
            continue
        yield _error(
            workflow,
            f"step {step.label!r} would get the parameter {name!r}, a name that its body reserves",
            "Rename the parameter, or choose the child's arguments: Step(..., inputs=...).",
            "E009",
        )


def _error(workflow: Workflow, problem: str, hint: str, number: str) -> Error:
    return Error(f"Workflow {workflow.name!r}: {problem}.", hint=hint, id=f"workflows.{number}")


def _warning(workflow: Workflow, problem: str, hint: str, number: str) -> Warning:
    return Warning(f"Workflow {workflow.name!r}: {problem}.", hint=hint, id=f"workflows.{number}")
