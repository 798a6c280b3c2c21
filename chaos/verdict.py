"""What went wrong: pure functions of the evidence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

from chaos.event_log import EventKind
from chaos.evidence import Bodies, Body, RunSeen, Silence, StepSeen

__all__ = ["doubled", "lost", "out_of_order", "slowest_recovery", "unfinished"]

RUN_ENDS = ("SUCCESS", "FAILURE", "REVOKED")
STEP_ENDS = ("OK", "ERROR", "SKIPPED", "CANCELLED")
COUNTED = {"OK": "ok", "ERROR": "failed", "SKIPPED": "skipped", "CANCELLED": "cancelled"}
"""How counters name the ends of items."""


def lost(runs: Iterable[RunSeen], bodies: Bodies) -> list[str]:
    """Runs and steps without a proper end, a line for each."""
    return [f"{run.id}: {problem}" for run in runs for problem in _lost_of(run, bodies)]


def _lost_of(run: RunSeen, bodies: Bodies) -> Iterator[str]:
    if run.state not in RUN_ENDS:
        states = ", ".join(f"{step.name} {step.state}" for step in run.steps)
        yield f"it has not ended: {run.state}; {states}"
        return
    if run.stored != run.state:
        yield f"it is {run.state}, and its TaskResult says {run.stored}"
    if run.notifications is not None and run.notifications < run.ends:
        yield f"it has ended {run.ends} times, with {run.notifications} notifications"
    for step in run.steps:
        if step.state not in STEP_ENDS:
            yield f"it is {run.state}, and {step.name} is {step.state}"
        elif run.state == "SUCCESS" and step.state != "OK":
            yield f"it is SUCCESS, and {step.name} is {step.state}"
        elif run.state == "FAILURE" and step.when == "always" and step.state != "OK":
            yield f"{step.name} always follows, and it is {step.state}"
        elif run.state == "FAILURE" and step.state == "ERROR" and step.left and not step.items:
            yield f"{step.name} was given up with {step.left} retries left"
        yield from _lost_inside(step, bodies, cancelled=run.cancelled)
    for part in run.bodied:
        if part.state == "OK":
            body = bodies.by_attempt.get(part.attempt or "")
            if body is None or body.last_kind is not EventKind.FINISHED:
                yield f"{part.name} is OK, and the body of {part.attempt} never finished"


def _lost_inside(step: StepSeen, bodies: Bodies, *, cancelled: bool) -> Iterator[str]:
    """What is wrong with a step that is not one child."""
    if step.fed_by and step.state == "OK" and (missing := {*step.given} - {*_keys(step)}):
        yield f"{step.name} was given {sorted(missing)}, and has no such items"
    if step.counters is not None:
        yield from _lost_items(step, bodies, cancelled=cancelled)
    if step.nested:
        for each in step.items if step.counters is not None else (step,):
            yield from _lost_child_run(each)
    if step.awaits:
        yield from _lost_answers(step, cancelled=cancelled)


def _keys(step: StepSeen) -> list[str]:
    return [item.key for item in step.items]


def _lost_items(step: StepSeen, bodies: Bodies, *, cancelled: bool) -> Iterator[str]:
    """What is wrong with the items of a mapped step that has ended."""
    counters = {name: count for name, count in (step.counters or {}).items() if count}
    total = counters.pop("total", 0)
    found = Counter(COUNTED.get(item.state, item.state) for item in step.items)
    if counters != found or total != len(step.items):
        yield f"{step.name} counts {counters} of {total}, and its items are {dict(found)}"
    names = [f"{step.name}[{index}]" for index in range(len(step.items))]
    if not step.fed_by and [item.name for item in step.items] != names:
        yield f"{step.name} has the items {[item.name for item in step.items]}"
    for item in step.items:
        body = bodies.by_attempt.get(item.attempt or "")
        broken = body is not None and body.last_kind is EventKind.BROKEN
        if item.state not in STEP_ENDS:
            yield f"{step.name} is {step.state}, and {item.name} is {item.state}"
        elif step.state == "OK" and item.state not in ("OK", "ERROR"):
            yield f"{step.name} is OK, and {item.name} is {item.state}"
        elif item.state == "ERROR" and item.left and not broken and step.state == "OK":
            yield f"{item.name} was given up with {item.left} retries left"
    if step.state == "ERROR" and not cancelled and not found["failed"]:
        yield f"{step.name} is an ERROR, and no item is"


def _lost_child_run(step: StepSeen) -> Iterator[str]:
    """What is wrong with the child run of a step that has ended."""
    child = step.child
    if child is None:
        if step.state not in ("SKIPPED", "CANCELLED"):
            yield f"{step.name} is {step.state}, and has no run"
    elif child.state not in RUN_ENDS or (step.state == "OK") != (child.state == "SUCCESS"):
        yield f"{step.name} is {step.state}, and its run {child.id} is {child.state}"
    elif step.state == "OK" and step.result != child.steps[-1].result:
        yield f"{step.name} is OK with {step.result}, and its run with {child.steps[-1].result}"


def _lost_answers(step: StepSeen, *, cancelled: bool) -> Iterator[str]:
    """What is wrong with a signal or an approval that has ended."""
    if step.state == "OK" and step.result not in step.given:
        yield f"{step.name} has {step.result}, and users were told {sorted(step.given)}"
    elif step.given and step.state != "OK" and not cancelled:
        yield f"{step.name} was given {sorted(step.given)}, and is {step.state}"


def doubled(
    runs: Sequence[RunSeen], bodies: Bodies, silences: Sequence[Silence], lease: float
) -> list[str]:
    """What counted twice or ran twice at once, a line for each.

    Two bodies of one step may overlap if the first one's worker was silent: the body has outlived
    its lease of `lease` seconds. Its outcome must not count.
    """
    lines = [
        f"{body} was started {body.starts} times"
        for body in bodies.by_attempt.values()
        if body.starts > 1
    ]
    children = Counter(run.parent for run in runs if run.parent is not None and not run.cancelled)
    lines += [
        f"{run.id} has {children[run.id]} child runs"
        for run in runs
        if children[run.id] > max(1, run.own_runs)
    ]
    lines += [
        f"{run.id} has ended {run.ends} times, with {run.notifications} notifications"
        for run in runs
        if run.notifications is not None and run.notifications > run.ends
    ]
    lines += [line for run in runs for line in _doubled_in(run, bodies)]
    lines += _together(runs, bodies)
    for one, other in _overlaps(bodies):
        if not _outlived(one, other, silences, lease):
            lines.append(f"{one} was still running {one.last - other.begun:.3f} s after {other}")
    return lines


def _doubled_in(run: RunSeen, bodies: Bodies) -> Iterator[str]:
    """What steps of a run took twice, or have from elsewhere than the attempt that counts."""
    for step in run.steps:
        # Where a retry asked for an approval anew, there may be another answer.
        several = step.fed_by or (run.cancelled and step.awaits == "approval")
        if len(step.given) > 1 and not several:
            yield f"{run.id}: {step.name} has taken {sorted(step.given)}"
        if step.fed_by and Counter(_keys(step)) - Counter([*step.given]):
            given, has = sorted(step.given), sorted(_keys(step))
            yield f"{run.id}: {step.name} was given {given}, and has {has}"
    for step in run.bodied:
        if step.state == "OK" and step.result != step.attempt:
            yield f"{run.id}: {step.name} {step.attempt} has the result {step.result}"
        for body in bodies.by_step.get((run.id, step.name), ()):
            results = _results_before(run, step)
            if body.inputs != results:
                yield f"{body} got {body.inputs}, and the results are {results}"


def _results_before(run: RunSeen, step: StepSeen) -> dict[str, object]:
    """The results that the step is given: of the steps before it."""
    # What came by a signal is given no results.
    before = [run.step(name) for name in step.after if not step.fed_by]
    # What comes after a mapped step that failed reads its items all the same.
    return {each.name: each.result for each in before if each.state == "OK"} | {
        each.name: [item.result for item in each.items if item.state == "OK"]
        for each in before
        if each.state == "ERROR" and each.items
    }


def _together(runs: Iterable[RunSeen], bodies: Bodies) -> Iterator[str]:
    """Bodies that counted, of two runs with the same key at the same time."""
    by_key: dict[str, list[Body]] = defaultdict(list)
    for run in runs:
        for step in run.bodied:
            body = bodies.by_attempt.get(step.attempt or "")
            if run.key is not None and step.state == "OK" and body is not None:
                by_key[run.key].append(body)
    for key, of_key in by_key.items():
        of_key.sort(key=lambda body: body.begun)
        for before, after in pairwise(of_key):
            if after.begun < before.last and after.run != before.run:
                yield f"{after} went on beside {before}, and both have the key {key}"


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
    """Bodies that were started before a step they wait for was OK, a line for each.

    A step that always follows waits for the end of what had begun.
    """
    return [
        f"{body} was started before {name} was OK"
        for run in runs
        for step in run.bodied
        for body in bodies.by_step.get((run.id, step.name), ())
        for name in step.after
        if not _ended_before(run.step(name), bodies, body.begun, always=step.when == "always")
    ]


def _ended_before(step: StepSeen, bodies: Bodies, at: float, *, always: bool) -> bool:
    if step.state != "OK" and not always:
        return False
    if step.awaits:
        return step.state == "OK"
    if step.nested and step.counters is None:
        inner = step.child.bodied if step.child is not None else ()
        return all(_ended_before(each, bodies, at, always=always) for each in inner)
    if step.counters is not None:
        ended = [item for item in step.items if item.state == "OK"]
        return all(_ended_before(item, bodies, at, always=always) for item in ended)
    body = bodies.by_attempt.get(step.attempt or "")
    if step.state != "OK" or body is None:
        return False
    return body.last_kind is EventKind.FINISHED and body.last <= at


def unfinished(bodies: Bodies) -> int:
    """How many bodies something ended from outside."""
    return sum(body.unfinished for body in bodies.by_attempt.values())


def slowest_recovery(runs: Iterable[RunSeen], bodies: Bodies) -> tuple[float, Body | None]:
    """The longest time, in seconds, from the last event of a lost body to the start of the next
    one, and that one. Cancelled runs do not count: their retry waits for a user.
    """
    cancelled = {run.id for run in runs if run.cancelled}
    recoveries = (
        (after.begun - before.last, after)
        for (run_id, _), of_step in bodies.by_step.items()
        if run_id not in cancelled
        for before, after in pairwise(of_step)
        if before.unfinished
    )
    return max(recoveries, key=lambda recovery: recovery[0], default=(0.0, None))
