"""What a verdict is about: the final rows, the bodies that ran, and the silences of workers."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.event_log import BodyEvent, EventKind, Inputs

__all__ = ["Bodies", "Body", "RunSeen", "Silence", "StepSeen", "bodies_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSeen:
    """A step's row, or an item's. `attempt` is the Celery id of the current one, `left` its unused
    retries. A mapped step has `items`, in order, and `counters`; its result are those of its items.
    A nested step has its `child` run; if it is mapped too, each item has one. Of a signal or an
    approval (`awaits`) the result is what it said, and `given` are the answers that users were told
    it had taken. Of a mapped step that a signal feeds (`fed_by`) they are the keys of the items,
    and of that signal how many.
    """

    name: str
    state: str
    attempt: str | None
    result: object
    after: Sequence[str]
    when: str = "ok"
    left: int = 0
    counters: Mapping[str, int] | None = None
    items: Sequence["StepSeen"] = ()
    nested: bool = False
    child: "RunSeen | None" = None
    awaits: str = ""
    given: Collection[str] = ()
    fed_by: str = ""
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSeen:
    """A run's row and steps; `stored` is the state in its `TaskResult`.

    A child run has the id of its `parent`, and is cancelled if that is. `ends`: how often it has
    ended, with its retries. `notifications`: how many of its ends the outbox has; None if nobody
    wants them. Of the runs with one `key` only one goes on at a time.
    """

    id: str
    state: str
    stored: str | None
    steps: Sequence[StepSeen]
    cancelled: bool = False
    parent: str | None = None
    ends: int = 1
    notifications: int | None = None
    key: str | None = None

    def step(self, name: str) -> StepSeen:
        return next(step for step in self.steps if step.name == name)

    @property
    def own_runs(self) -> int:
        """How many child runs its steps and items are."""
        nested = (step for step in self.steps if step.nested)
        return sum(len(s.items) if s.counters is not None else 1 for s in nested)

    @property
    def bodied(self) -> Iterator[StepSeen]:
        """What has bodies: items, and the steps of children."""
        for step in self.steps:
            if step.nested:
                continue
            own = step.counters is None and not step.awaits
            yield from step.items or ([step] if own else ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """A time in which a worker, or all (None), could send no heartbeat."""

    worker: int | None
    begun: float
    ended: float


@dataclass(kw_only=True, slots=True)
class Body:
    """A body that was started: from its first event to its last."""

    run: str
    step: str
    attempt: str
    worker: int
    begun: float
    last: float
    inputs: Inputs
    last_kind: EventKind = EventKind.STARTED
    starts: int = 1

    def __str__(self) -> str:
        return f"{self.run} {self.step} {self.attempt}"

    @property
    def unfinished(self) -> bool:
        """Whether something ended it from outside."""
        return self.last_kind in (EventKind.STARTED, EventKind.RUNNING)


@dataclass(kw_only=True)
class Bodies:
    """All bodies, by attempt, and by run and step in the order of their starts."""

    by_attempt: dict[str, Body] = field(default_factory=dict)
    by_step: dict[tuple[str, str], list[Body]] = field(default_factory=lambda: defaultdict(list))


def bodies_of(events: Iterable[BodyEvent]) -> Bodies:
    """The bodies that these events are of."""
    bodies = Bodies()
    for event in sorted(events, key=lambda event: event.at):
        body = bodies.by_attempt.get(event.attempt)
        if body is None:
            body = Body(
                run=event.run,
                step=event.step,
                attempt=event.attempt,
                worker=event.worker,
                begun=event.at,
                last=event.at,
                inputs=event.inputs or {},
            )
            bodies.by_attempt[event.attempt] = body
            bodies.by_step[event.run, event.step].append(body)
        elif event.kind is EventKind.STARTED:
            body.starts += 1
        body.last, body.last_kind = event.at, event.kind
    return bodies
