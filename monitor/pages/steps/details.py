"""The details of a step or an item for an operator: its inputs, worker, queue and traceback.

Only what somebody has opened is read. What is open stands in the address of the page, as the index
of a step, `?open=3`, or of a step and an item, `?open=3.17`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import Q
from django.http import HttpRequest

from monitor.policy import is_staff
from monitor.runs.titles import titled_error
from parent.definition.parameters.secrets import masked, secrets_inside, shown_beginning
from parent.definition.parent_task import NAME_PREFIX
from parent.messages.publish import queue_of
from parent.models import Attempt, Item, Run, Step

__all__ = ["Details", "Opened", "Past", "may_see_details"]

LONGEST = 10_000
"""Characters of a step's inputs."""
MOST_OPEN = 10
MOST_PAST = 10
"""Earlier attempts: the latest ones. The admin has all of them."""
KEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
LARGE = ("input_override", "checkpoint", "result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """An earlier attempt."""

    number: int
    task_id: str
    worker: str
    error: str
    traceback: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """A step or an item, with its present attempt.

    `step_id` is the primary key of the step. `task_id` and `worker` are empty before there is one,
    and `queue` where no child runs.
    `inputs` and `given`, those of a retry, are JSON, indented if it is whole; empty without any.
    """

    step_id: int
    task: str
    task_id: str
    queue: str
    worker: str
    inputs: str
    given: str
    traceback: str
    past: Sequence[Past]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What is open on a page, and the addresses that open and close more."""

    rest: str
    """The query of the page's address without what is open."""
    found: Mapping[str, Details]
    """By key: `3`, or `3.17` of an item."""

    @classmethod
    def of(cls, request: HttpRequest, run: Run) -> Self:
        """What the address of the request opens of this run: a few statements for each."""
        keys = [key for key in request.GET.getlist("open") if KEY.fullmatch(key)][-MOST_OPEN:]
        rest = request.GET.copy()
        rest.pop("open", None)
        return cls(rest=rest.urlencode(), found=dict(_read(run, keys)) if keys else {})

    @property
    def steps(self) -> set[int]:
        """The indexes of the open steps."""
        return {int(key) for key in self.found if "." not in key}

    def toggled(self, key: str) -> str:
        """The query of the page with this key opened, or closed if it is open."""
        others = [each for each in self.found if each != key]
        keys = others if key in self.found else [*others[1 - MOST_OPEN :], key]
        return "?" + "&".join([*filter(None, [self.rest]), *(f"open={each}" for each in keys)])


def may_see_details(user: Any) -> bool:
    """Whether a user who may see a run may also see this of it: staff, as in the admin."""
    return is_staff(user) and user.has_perm("parent.view_step")


def _read(run: Run, keys: Iterable[str]) -> Iterator[tuple[str, Details]]:
    wanted = {key: [int(part) for part in key.split(".")] for key in keys}
    steps = Step.objects.filter(run=run, index__in={index for index, *_ in wanted.values()})
    found = {step.index: step for step in steps.select_related("executor").defer(*LARGE)}
    for key, (index, *place) in wanted.items():
        if (step := found.get(index)) is None:
            continue
        step.run = run
        child = _item(step, place[0]) if place else step
        if child is not None:
            yield key, _details(step, child)


def _item(step: Step, index: int) -> Item | None:
    items = Item.objects.filter(step=step, index=index).select_related("executor")
    item = items.defer("checkpoint", "result").first()
    if item is not None:
        item.step = step
    return item


def _details(step: Step, child: Step | Item) -> Details:
    secrets = secrets_inside(child)
    own = Q(step=step, item=None) if child is step else Q(item=child.pk)
    past = Attempt.objects.filter(own).order_by("-number")[:MOST_PAST]
    columns = ["kwargs"] if isinstance(child, Item) else ["kwargs", "input_override"]
    inputs, *given = (
        _readable(shown_beginning(child, LONGEST, column, secrets)) for column in columns
    )
    return Details(
        step_id=step.pk,
        task=child.task,
        task_id=child.task_id or "",
        queue="" if step.awaits or child.task.startswith(NAME_PREFIX) else queue_of(child),
        worker=str(child.executor or ""),
        inputs=inputs,
        given="".join(given),
        traceback=masked(child.traceback, secrets),
        past=[
            Past(
                number=each.number,
                task_id=each.task_id,
                worker=each.worker,
                error=titled_error(masked(each.error, secrets), step.run.workflow),
                traceback=masked(each.traceback, secrets),
            )
            for each in past
        ],
    )


def _readable(text: str) -> str:
    """Indented JSON; as it is if it is cut, and empty if it is null."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
