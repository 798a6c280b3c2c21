"""What the storm has done: pure, from the rows as they ended and the marks of the bodies."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from chaos.marks import Mark, What

__all__ = [
    "Body",
    "RunSeen",
    "Silence",
    "StepSeen",
    "bodies_of",
    "doubled",
    "lost",
    "out_of_order",
    "perished",
    "slowest_recovery",
]

RUN_ENDS = ("SUCCESS", "FAILURE", "REVOKED")
STEP_ENDS = ("OK", "ERROR", "SKIPPED", "CANCELLED")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSeen:
    """A step's row. `attempt` is Celery's id of the present one; `left` its unused retries."""

    name: str
    state: str
    attempt: str | None
    result: object
    after: Sequence[str]
    left: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSeen:
    """A run's row, its steps, and the state that its `TaskResult` says."""

    id: str
    state: str
    stored: str | None
    steps: Sequence[StepSeen]
    cancelled: bool = False

    def step(self, name: str) -> StepSeen:
        return next(step for step in self.steps if step.name == name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """A time in which the heart of a worker, or of all (None), could not beat."""

    worker: int | None
    begun: float
    ended: float


@dataclass(kw_only=True, slots=True)
class Body:
    """A body that began: from its first mark to its last."""

    run: str
    step: str
    attempt: str
    worker: int
    begun: float
    last: float
    given: Mapping[str, str]
    what: What = What.BEGINS
    beginnings: int = 1

    def __str__(self) -> str:
        return f"{self.run} {self.step} {self.attempt}"

    @property
    def perished(self) -> bool:
        """It came to no end of its own."""
        return self.what in (What.BEGINS, What.GOES_ON)


@dataclass(kw_only=True)
class Bodies:
    """All that began, by attempt, and by run and step in the order of their beginning."""

    by_attempt: dict[str, Body] = field(default_factory=dict)
    by_step: dict[tuple[str, str], list[Body]] = field(default_factory=lambda: defaultdict(list))


def bodies_of(marks: Iterable[Mark]) -> Bodies:
    """Put the marks together."""
    bodies = Bodies()
    for mark in sorted(marks, key=lambda mark: mark.at):
        body = bodies.by_attempt.get(mark.attempt)
        if body is None:
            body = Body(
                run=mark.run,
                step=mark.step,
                attempt=mark.attempt,
                worker=mark.worker,
                begun=mark.at,
                last=mark.at,
                given=mark.given or {},
            )
            bodies.by_attempt[mark.attempt] = body
            bodies.by_step[mark.run, mark.step].append(body)
        elif mark.what is What.BEGINS:
            body.beginnings += 1
        body.last, body.what = mark.at, mark.what
    return bodies


def lost(runs: Iterable[RunSeen], bodies: Bodies) -> list[str]:
    """Runs and steps without a proper end, each told in a line."""
    return [f"{run.id}: {told}" for run in runs for told in _lost_of(run, bodies)]


def _lost_of(run: RunSeen, bodies: Bodies) -> Iterator[str]:
    if run.state not in RUN_ENDS:
        states = ", ".join(f"{step.name} {step.state}" for step in run.steps)
        yield f"it has not ended: {run.state}; {states}"
        return
    if run.stored != run.state:
        yield f"it is {run.state}, and its TaskResult says {run.stored}"
    for step in run.steps:
        if step.state not in STEP_ENDS:
            yield f"it is {run.state}, and {step.name} is {step.state}"
        elif run.state == "SUCCESS" and step.state != "OK":
            yield f"it is SUCCESS, and {step.name} is {step.state}"
        elif run.state == "FAILURE" and step.state == "ERROR" and step.left:
            yield f"{step.name} was given up with {step.left} retries left"
        if step.state == "OK":
            body = bodies.by_attempt.get(step.attempt or "")
            if body is None or body.what is not What.ENDS:
                yield f"{step.name} is OK, and the body of {step.attempt} never came to its end"


def doubled(
    runs: Iterable[RunSeen], bodies: Bodies, silences: Sequence[Silence], lease: float
) -> list[str]:
    """What counted or was at work twice, each told in a line.

    Two bodies of one step may overlap where the first one's worker was silent: it has outlived
    its lease, of `lease` seconds. Its outcome must not count.
    """
    told = [
        f"{body} began {body.beginnings} times"
        for body in bodies.by_attempt.values()
        if body.beginnings > 1
    ]
    for run in runs:
        for step in run.steps:
            if step.state == "OK" and step.result != step.attempt:
                told.append(f"{run.id}: {step.name} {step.attempt} has the result {step.result}")
            for body in bodies.by_step.get((run.id, step.name), ()):
                results = {name: run.step(name).result for name in step.after}
                if body.given != results:
                    told.append(f"{body} was given {body.given}, and the results are {results}")
    for one, other in _overlaps(bodies):
        if not _outlived(one, other, silences, lease):
            told.append(f"{one} was still at work {one.last - other.begun:.3f} s after {other}")
    return told


def _overlaps(bodies: Bodies) -> Iterator[tuple[Body, Body]]:
    for of_step in bodies.by_step.values():
        yield from ((a, b) for a, b in combinations(of_step, 2) if b.begun < a.last)


def _outlived(one: Body, other: Body, silences: Sequence[Silence], lease: float) -> bool:
    """Whether the worker of `one` was silent before `other` began."""
    return any(
        silence.worker in (None, one.worker)
        and silence.begun < other.begun
        and silence.ended > one.begun - lease
        for silence in silences
    )


def out_of_order(runs: Iterable[RunSeen], bodies: Bodies) -> list[str]:
    """Bodies that began before all that they come after had ended well, each told in a line."""
    return [
        f"{body} began before {name} had ended well"
        for run in runs
        for step in run.steps
        for body in bodies.by_step.get((run.id, step.name), ())
        for name in step.after
        if not _ended_before(run.step(name), bodies, body.begun)
    ]


def _ended_before(step: StepSeen, bodies: Bodies, at: float) -> bool:
    body = bodies.by_attempt.get(step.attempt or "")
    return step.state == "OK" and body is not None and body.what is What.ENDS and body.last <= at


def perished(bodies: Bodies) -> int:
    """How many bodies were at work when something ended them."""
    return sum(body.perished for body in bodies.by_attempt.values())


def slowest_recovery(runs: Iterable[RunSeen], bodies: Bodies) -> tuple[float, Body | None]:
    """The longest time, in seconds, from the last sign of a body that was lost to the beginning
    of the next, and that one. Runs that somebody cancelled do not count: people take their time.
    """
    cancelled = {run.id for run in runs if run.cancelled}
    recoveries = (
        (after.begun - before.last, after)
        for (run_id, _), of_step in bodies.by_step.items()
        if run_id not in cancelled
        for before, after in pairwise(of_step)
        if before.perished
    )
    return max(recoveries, key=lambda recovery: recovery[0], default=(0.0, None))
