"""What the author of a workflow declares: `Workflow` and `Step`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from celery import Task, current_app, shared_task
from celery.result import AsyncResult

from children.declaration.retrying import Retrying
from children.task import ChildTask
from parent.definition.concurrency import Concurrency
from parent.definition.name_lists import join_names
from parent.definition.notify import Email, Webhook
from parent.definition.parent_task import NAME_PREFIX, ParentTask, parent_task_name
from parent.definition.registry import Registry
from parent.definition.runtime import runtime
from parent.definition.schedule import Schedule
from parent.errors import InvalidWorkflow, UnknownStep

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from rest_framework.serializers import BaseSerializer

    from parent.models import Run

__all__ = ["RunData", "Step", "Workflow", "registry"]

registry: "Registry[Workflow]" = Registry()
"""All workflows of this process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """The data of a run that the author's `inputs` and `result` get.

    `params` are the run's parameters as JSON; `results` are those of the steps that are OK, by
    name, and of a `Map` that failed after it had opened; `errors` are the texts of those that
    failed.

    The `inputs` of a step that follows others, and the `result`, run while the run's row is locked;
    on SQLite the whole database is locked for writers. The reason: the inputs are committed with
    the end of the step before, both or neither. The `inputs` of the first steps run before the
    start's transaction. Slow work belongs in a child.
    """

    params: Mapping[str, Any]
    results: Mapping[str, Any]
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One child's place in a workflow.

    Args:
        task: the child, or any Celery task, or the name of one; or a workflow: the step is a run of
            it, whose parameters are the inputs.
        name: unique in the workflow; the default is the last part of the task's name.
        title: what people see instead of the name on pages; the default is the name.
        inputs: returns the child's keyword arguments; without it they are the run's parameters. It
            must only read, and be fast: it may be called twice for one attempt, and runs while the
            run is locked (see `RunData`).
        after: the names of the steps it waits for; None means the one before it in the list,
            `()` means none.
        when: it opens when all of these are OK ("ok"), when one of them has failed ("failed"), or
            in either case ("always"). The last two wait until all of them have ended. A cancel or
            the timeout of the run ends every step, whatever its `when`.
        optional: its failure is shown, but does not fail the run, nor skip what comes after it.
        weight: its share of the run's completion.
        queue: the Celery queue to publish to; None leaves it to Celery's routing.
        priority: of the messages in one queue, 0 goes first; Redis distinguishes 0-2, 3-5, 6-8
            and 9. None takes the task's own `priority`; without one the message counts as 0.
        queue_timeout, run_timeout, stall_timeout: seconds until a child that has not started,
            not finished, or not reported becomes an ERROR; None takes the setting
            `WORKFLOW_QUEUE_TIMEOUT` and so on, and 0 means never.
        retries: how many more attempts may follow a failure or the loss of the worker. With
            retries the body runs at least once, without them at most once. None takes
            `retries`, `retry_delay`, `backoff` and `retry_on` from the child's own options
            (`autoretry_for` and the like); a child without them has 0 retries.
        retry_delay: seconds before the first retry; each further one waits `backoff` times as long.
        retry_on: the exceptions after which a retry is allowed. After the loss of a worker it
            always is.
        poll_interval: seconds between two reports of the child; None takes
            `WORKFLOW_POLL_INTERVAL`. A shorter one than that has an effect only in `watch()`.
        unless: names of steps and signals: if one of them is OK before this step opens, it is
            skipped, which is not a failure.
        limits: names in `WORKFLOW_LIMITS`, which has their sizes. Each attempt waits until it has
            a place of all of them, first come, first served, over all workflows; it has them until
            it ends. Of a `Map` each item takes them.
        max_depth: for a workflow that contains itself: how many runs of the step's workflow may be
            inside of each other, the outermost of them too. Where there are so many, the step is OK
            at once without a run, and its result is None; a `Map` is OK without items.
    """

    # A class as mypy sees `@child_task`.
    task: "Task[..., Any] | type[Task[..., Any]] | Workflow | str"
    _: KW_ONLY
    name: str = ""
    title: str = ""
    inputs: Callable[[RunData], Mapping[str, Any]] | None = None
    after: Sequence[str] | None = None
    when: Literal["ok", "failed", "always"] = "ok"
    optional: bool = False
    weight: float = 1.0
    queue: str | None = None
    priority: int | None = None
    queue_timeout: float | None = None
    run_timeout: float | None = None
    stall_timeout: float | None = None
    poll_interval: float | None = None
    retries: int | None = None
    retry_delay: float = 0.0
    backoff: float = 2.0
    retry_on: tuple[type[Exception], ...] = (Exception,)
    unless: Sequence[str] = ()
    limits: Sequence[str] = ()
    max_depth: int | None = None

    @property
    def fed_by(self) -> str:
        """The signal whose arrivals are its items, for a `Map`; empty of any other step."""
        return ""

    @property
    def awaits(self) -> str:
        """What from outside it waits for, in place of running a child; empty if for nothing."""
        return ""

    @cached_property
    def task_name(self) -> str:
        if isinstance(self.task, Workflow):
            return self.task.task_name
        return self.task if isinstance(self.task, str) else str(self.task.name)

    @property
    def nested(self) -> str:
        """The name of the workflow that the step runs; empty if its task is none."""
        if isinstance(self.task, Workflow):
            return self.task.name
        name = self.task_name.removeprefix(NAME_PREFIX)
        return name if parent_task_name(name) == self.task_name and name in registry else ""

    @cached_property
    def label(self) -> str:
        """The step's name in its workflow, in errors and on the page."""
        return self.name or self.task_name.rpartition(".")[2]

    @property
    def shown_title(self) -> str:
        """What people see instead of the name."""
        return str(self.title or self.label)

    @property
    def gets_params(self) -> bool:
        """Whether the run's parameters are the arguments of its task."""
        return self.inputs is None

    @property
    def reader(self) -> tuple[str, Callable[[RunData], Any] | None]:
        """What it takes from the run, in a word, and the author's function that reads it."""
        return "inputs", self.inputs

    @property
    def child(self) -> ChildTask | None:
        """The task, if it is a child and is registered in this process; else None."""
        task = current_app.tasks.get(self.task) if isinstance(self.task, str) else self.task
        return task if isinstance(task, ChildTask) else None

    @property
    def retrying(self) -> Retrying:
        """After which failures it is retried, how often, and when."""
        if self.retries is None and (child := self.child) is not None and child.retrying:
            return child.retrying
        return Retrying(
            retries=self.retries or 0,
            delay=self.retry_delay,
            backoff=self.backoff,
            on=tuple(self.retry_on),
        )


@dataclass(frozen=True)
class Workflow:
    """A named definition: parameters and steps. Creating one registers it.

    Args:
        name: unique; part of the URL and of the parent task's name, `parent.<name>`.
        steps: in order; see `Step.after` for other shapes than a sequence.
        params: a DRF serializer class that validates the parameters; None takes none.
        title: what people see instead of the name on pages; the default is the name.
        description: one line for people.
        result: returns the run's result (see `RunData`); without it, that is the result of the
            last step with `when="ok"`.
        timeout: seconds until the whole run ends as an ERROR; None means never.
        permission: `app.codename`; users without it do not see the workflow in the catalogue,
            and cannot start or retry a run of it over HTTP. None requires only a login.
        concurrency: how many runs may go on at the same time; None is no limit.
        schedules: when it starts by itself.
        notify: who is told when a run starts, ends or fails; see `Email` and `Webhook`.
        signals: what may come from outside while a run goes on: `Signal(...)`. Steps wait for
            them by `after`. Those that a `Map` is over need not be here.
    """

    name: str
    _: KW_ONLY
    steps: Sequence[Step]
    params: "type[BaseSerializer[Any]] | None" = None
    title: str = ""
    description: str = ""
    result: Callable[[RunData], Any] | None = None
    timeout: float | None = None
    permission: str | None = None
    concurrency: Concurrency | None = None
    schedules: Sequence[Schedule] = ()
    notify: Sequence[Email | Webhook] = ()
    signals: Sequence[Step] = ()
    task: "Task[..., Any]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):  # no check could sort or name it
            kind = type(self.name).__name__
            raise InvalidWorkflow(f'The name of a workflow is a text, not {kind}: Workflow("...").')
        object.__setattr__(self, "task", _parent_task(self))
        registry.register(self)

    @property
    def task_name(self) -> str:
        """The Celery name of the parent task."""
        return parent_task_name(self.name)

    @property
    def shown_title(self) -> str:
        """What people see instead of the name."""
        return str(self.title or self.name)

    @cached_property
    def all_steps(self) -> Sequence[Step]:
        """The steps, and after them the signals: all that has a row in a run."""
        return (*self.steps, *self.all_signals)

    @cached_property
    def all_signals(self) -> Sequence[Step]:
        """The signals, and after them those that only a `Map` names."""
        found = list(self.signals)
        for step in self.steps:
            over = getattr(step, "over", None) if step.fed_by else None
            if over is not None and over not in found:
                found.append(over)
        return tuple(found)

    def fed_step(self, name: str) -> "Step | None":
        """The step whose items are the arrivals of that signal, if there is one."""
        return next((step for step in self.steps if step.fed_by == name), None)

    @cached_property
    def by_label(self) -> Mapping[str, Step]:
        """The steps and signals by name. Of two with one name, which a check refuses, the first."""
        return {step.label: step for step in reversed(self.all_steps)}

    @cached_property
    def _one_before(self) -> Mapping[str, tuple[str, ...]]:
        labels = [step.label for step in self.steps]
        pairs = zip(labels, [(), *((label,) for label in labels)], strict=False)
        return dict(reversed(list(pairs)))

    def step(self, name: str) -> Step:
        """The step of that name.

        Raises:
            UnknownStep: this version of the workflow has none.
        """
        try:
            return self.by_label[name]
        except KeyError:
            steps = join_names(list(self.by_label))
            raise UnknownStep(
                f"The workflow {self.name!r} has no step {name!r}; its steps are: {steps}."
            ) from None

    def after(self, step: Step) -> tuple[str, ...]:
        """The names of the steps that `step` waits for.

        A signal has no `after` of its own. It waits for the steps that each step after the signal
        waits for too, other signals left out. A signal in an `unless` waits for nothing.
        """
        if step.awaits == "signal":
            return self._before_signals.get(step.label, ())
        if step.after is not None:
            return tuple(step.after)
        return self._one_before.get(step.label, ())

    def waiting_for(self, name: str) -> "Sequence[Step]":
        """The steps that come after the signal of that name, or take their items from it."""
        return self._waiting_for.get(name, ())

    @cached_property
    def _waiting_for(self) -> Mapping[str, Sequence[Step]]:
        found: dict[str, list[Step]] = {signal.label: [] for signal in self.all_signals}
        for step in self.steps:
            # A check refuses a signal among the steps.
            names = self.after(step) if step.awaits != "signal" else ()
            for name in dict.fromkeys((*names, *filter(None, [step.fed_by]))):
                if name in found:
                    found[name].append(step)
        return found

    @cached_property
    def _before_signals(self) -> Mapping[str, tuple[str, ...]]:
        # An `unless` looks at a signal at any time, so such a one is open from the start.
        always_open = {name for step in self.steps for name in step.unless}
        found: dict[str, tuple[str, ...]] = {}
        for name, waiting in self._waiting_for.items():
            first, *others = [self.after(step) for step in waiting] or [()]
            common = set(first).intersection(*others) - self._waiting_for.keys()
            is_open = name in always_open
            found[name] = () if is_open else tuple(each for each in first if each in common)
        return found

    def start(self, /, owner: "User | None" = None, **params: Any) -> "Run":
        """Write a run's rows and publish it when the transaction commits; see `start_with`.

        Raises:
            InvalidParams: with a list of errors for each field.
            TypeError: `owner` is not a user. A parameter of that name needs `start_with`.
        """
        if owner is not None and not hasattr(owner, "pk"):
            raise TypeError(
                f"owner is the user whose run it is, not {owner!r}. To give a parameter that is "
                'named owner, write start_with({"owner": ...}, owner=user).'
            )
        return self.start_with(params, owner=owner)

    def start_with(self, params: Mapping[str, Any], *, owner: "User | None" = None) -> "Run":
        """Like `start`, with the parameters in a mapping, so that they may have any name.

        Raises:
            InvalidParams: with a list of errors for each field.
        """
        return runtime().start(self, params, owner)

    def start_many(
        self, params: "Iterable[Mapping[str, Any]]", *, owner: "User | None" = None
    ) -> "list[Run]":
        """Start a run for each of these parameters; 200 of them are one transaction.

        Raises:
            InvalidParams: before anything is written, with the errors by the parameters' places.
        """
        return runtime().start_many(self, params, owner)

    def delay(self, /, **params: Any) -> "AsyncResult[Any]":
        """Like `start`, but returns a Celery result that follows the run."""
        return self.result_of(self.start_with(params).pk)

    def result_of(self, run_id: UUID | str) -> "AsyncResult[Any]":
        """The Celery result under which a run can be followed."""
        return self.task.AsyncResult(str(run_id))


def _parent_task(workflow: Workflow) -> Any:
    """Register the Celery task `parent.<workflow>`."""
    register = shared_task(name=workflow.task_name, base=ParentTask, bind=True, workflow=workflow)
    body: Any = ParentTask.run
    return register(body)
