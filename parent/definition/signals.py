"""What an author declares to wait for something from outside: `Signal` and `Approval`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from parent.definition.name_lists import join_names
from parent.definition.workflow import Step, Workflow
from parent.setting_values import LONGEST_TIME

if TYPE_CHECKING:
    from rest_framework.serializers import BaseSerializer

__all__ = ["Approval", "Awaited", "Signal", "awaited_steps", "signal_of", "signal_problems"]

ON_TIMEOUT = ("fail", "skip")


@dataclass(frozen=True)
class Awaited(Step):
    """A step that waits for something from outside, and runs no child."""

    task: str = field(init=False, default="")
    name: str = ""
    timeout: float | None = field(default=None, kw_only=True)
    on_timeout: Literal["fail", "skip"] = field(default="fail", kw_only=True)
    permission: str | None = field(default=None, kw_only=True)

    @property
    def gets_params(self) -> bool:
        """Never: it has no task that could take them."""
        return False


@dataclass(frozen=True)
class Signal(Awaited):
    """Something that comes from outside while a run goes on; steps name it in their `after`.

    It may come before anything waits for it, and counts then too. The first one counts. It never
    keeps a run from ending: a signal that nothing waits for any more is skipped.

    Args:
        name: unique among the workflow's steps and signals. `run.results[name]` has its values.
        params: a DRF serializer class that validates the values; None takes none.
        title: what people see instead of the name.
        timeout: seconds for which steps wait for it, counted from when all else has ended that
            they come after; None waits for ever.
        on_timeout: "fail" makes it an ERROR; "skip" skips it and what comes after it, which is no
            failure.
        permission: `app.codename` of those who may give it. None: those who may change the run.
    """

    params: "type[BaseSerializer[Any]] | None" = field(default=None, kw_only=True)

    @property
    def awaits(self) -> str:
        """What it waits for; see `parent.models.Awaits`."""
        return "signal"


@dataclass(frozen=True)
class Approval(Awaited):
    """A step that waits until a person approves or rejects. A rejection is an ERROR of the step.

    `run.results[name]` is `{"decision": "approve", "comment": ..., "values": {...}, "who": ...}`.

    Args:
        name: unique among the workflow's steps and signals.
        title, after, when, optional, unless: as of any `Step`.
        form: a DRF serializer class: more fields, which who approves fills in.
        timeout: seconds from when it is asked for; None waits for ever.
        on_timeout: "fail" makes it an ERROR; "skip" skips it and what comes after it.
        permission: `app.codename` of those who may decide. None: those who may change the run.
    """

    form: "type[BaseSerializer[Any]] | None" = field(default=None, kw_only=True)

    @property
    def awaits(self) -> str:
        """What it waits for; see `parent.models.Awaits`."""
        return "approval"


def awaited_steps(workflow: Workflow) -> list[Awaited]:
    """The approvals and signals of a workflow."""
    return [step for step in workflow.all_steps if isinstance(step, Awaited)]


def signal_of(workflow: Workflow, name: str) -> Awaited | None:
    """The signal or approval of that name; None if the workflow has none."""
    step = workflow.by_label.get(name)
    return step if isinstance(step, Awaited) else None


OF_NO_CHILD: dict[str, Any] = {
    **{"inputs": None, "weight": 1.0, "queue": None, "priority": None, "queue_timeout": None},
    **{"run_timeout": None, "stall_timeout": None, "poll_interval": None, "retries": None},
    **{"retry_delay": 0.0, "backoff": 2.0, "retry_on": (Exception,)},
}
"""Options that only a step with a child has, with their defaults."""
OF_STEPS_ONLY: dict[str, Any] = {"after": None, "when": "ok", "optional": False, "unless": ()}
"""Options that a signal does not have either."""


def signal_problems(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """What is wrong with the declared signals, approvals and `unless`, each with a hint."""
    for step in workflow.steps:
        if isinstance(step, Signal):
            yield (
                f"the signal {step.label!r} is among the steps",
                "Put it into `signals`: Workflow(..., signals=[Signal(...)]).",
            )
    for step in workflow.all_signals:
        if not isinstance(step, Signal):
            yield f"{step!r} is among the signals", "Put only Signal(...) there."
    fed = Counter(step.fed_by for step in workflow.steps if step.fed_by)
    for name, count in fed.items():
        if count > 1:
            yield (
                f"{count} steps are a Map over the signal {name!r}",
                "Let one of them be, and the others come after it: run.results has its items.",
            )
    for step in workflow.all_steps:
        yield from _unless_problems(workflow, step)
        if isinstance(step, Awaited):
            yield from _awaited_problems(workflow, step)


def _awaited_problems(workflow: Workflow, step: Awaited) -> Iterator[tuple[str, str]]:
    what = f"the {step.awaits} {step.label!r}"
    options = OF_NO_CHILD | (OF_STEPS_ONLY if isinstance(step, Signal) else {})
    for name, default in options.items():
        if getattr(step, name) != default:
            yield f"{what} has {name}={getattr(step, name)!r}", f"Leave {name} out."
    if step.on_timeout not in ON_TIMEOUT:
        yield f"{what} has on_timeout={step.on_timeout!r}", "Give 'fail' or 'skip'."
    seconds = step.timeout
    if seconds is not None and not (_is_number(seconds) and 0 < seconds <= LONGEST_TIME):
        yield (
            f"{what} has timeout={seconds!r}",
            f"Give seconds above 0, at most {LONGEST_TIME:g}; or None, which waits for ever.",
        )
    if step.timeout is None and step.on_timeout == "skip":
        yield f"{what} has on_timeout='skip' and no timeout", "Give it a timeout too."
    if (
        isinstance(step, Signal)
        and step.timeout is not None
        and not workflow.waiting_for(step.label)
    ):
        yield (
            f"{what} has a timeout, and no step comes after it",
            f"Let a step wait for it, Step(..., after=[{step.label!r}]); or leave timeout out.",
        )


def _unless_problems(workflow: Workflow, step: Step) -> Iterator[tuple[str, str]]:
    if isinstance(step.unless, str):
        yield (
            f"step {step.label!r} has unless={step.unless!r}, a text",
            f"Write a list of names: unless=[{step.unless!r}].",
        )
        return
    for name in step.unless:
        if name == step.label:
            yield f"step {step.label!r} has itself in `unless`", "Take it out."
        elif name not in workflow.by_label:
            yield (
                f"step {step.label!r} has {name!r} in `unless`, "
                "which is not a step or signal of this workflow",
                f"They are: {join_names([each.label for each in workflow.all_steps])}.",
            )
        elif name in workflow.after(step):
            yield (
                f"step {step.label!r} has {name!r} in `after` and in `unless`: it would never run",
                "Take it out of one of them.",
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
