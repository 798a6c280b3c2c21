"""One chaos test, from the first run to the verdict."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from django.core.management import call_command
from django.db import connection
from django_celery_results.models import TaskResult

from chaos import event_log, verdict
from chaos.evidence import RunSeen, StepSeen, bodies_of
from chaos.faults import FaultInjector
from chaos.flows.workflows import NOTIFIES, said
from chaos.schedule import Fault
from chaos.servers import Broker, Database
from chaos.users import Users
from chaos.workers import Workers
from parent.models import Delivery, Event, Item, Run, Step
from parent.store import leases

__all__ = ["Report", "run_scenario"]

STANDSTILL = 120.0
"""Seconds without an end of a run, after which the remaining runs are lost. There is no limit for
all of them together: that depends on the machine."""
USERS_FINISH = 120.0
PRINT_EVERY = 15.0
LOOK_EVERY = 0.5
CHANGES = ("cancel", "retry")
"""What users do to runs, in their histories. Signals stand there too."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures. `lost`, `doubled`, `out_of_order` and `left_over` have a line for each case."""

    runs: Counter[str]
    steps: int
    items: int
    attempts: int
    unfinished: int
    child_runs: int
    answers: int
    notifications: int
    faults: Counter[str]
    recovery: str
    settling: float
    left_over: list[str]
    late_workers: list[str]
    lost: list[str]
    doubled: list[str]
    out_of_order: list[str]

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order or self.left_over)


def run_scenario(
    folder: Path,
    broker: Broker,
    database: Database,
    schedule: Sequence[Fault],
    *,
    runs: int,
    seconds: float,
) -> Report:
    """Start so many runs over so many seconds, inject the faults, wait for the end of all runs."""
    call_command("migrate", verbosity=0)
    workers = Workers(folder)
    injector = FaultInjector(workers, broker, database, folder / "faults.log")
    users = Users(runs, seconds)
    try:
        workers.start()
        users.start()
        injector.run(schedule, seconds, users.request, _ProgressLine(users).turn)
        settling = _wait_for_ends(users, workers)
        late = workers.stop()
    finally:
        workers.kill()
    faults = Counter(str(fault.kind) for fault in injector.injected)
    missing = runs - users.started
    return _report(folder, injector, faults, settling, late, missing=missing, given=users.given)


class _ProgressLine:
    """Prints from time to time how many runs were started."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._next = PRINT_EVERY

    def turn(self, now: float) -> None:
        if now >= self._next:
            self._next += PRINT_EVERY
            print(f"{now:6.0f} s  {self._users.started} runs started", flush=True)


def _wait_for_ends(users: Users, workers: Workers) -> float:
    """Wait until all runs have ended; returns the seconds that it took."""
    begun = print_at = time.monotonic()
    # They wait for ends of runs, for which a worker may have to be there again.
    while not users.finish(LOOK_EVERY) and time.monotonic() < begun + USERS_FINISH:
        workers.restart_ended()
    connection.close()  # it may be from before an outage of the database
    last, give_up_at = 0, time.monotonic() + STANDSTILL
    while time.monotonic() < give_up_at:
        workers.restart_ended()
        going = Run.objects.exclude(state__in=Run.ENDED).count()
        if not going:
            break
        if going != last:
            last, give_up_at = going, time.monotonic() + STANDSTILL
        if time.monotonic() >= print_at:
            print_at += PRINT_EVERY
            print(f"the faults are over: {going} runs have not ended yet", flush=True)
        time.sleep(LOOK_EVERY)
    return time.monotonic() - begun


def _report(
    folder: Path,
    injector: FaultInjector,
    faults: Counter[str],
    settling: float,
    late: list[str],
    *,
    missing: int,
    given: Mapping[tuple[str, str], Collection[str]],
) -> Report:
    seen = _read_runs(given)
    bodies = bodies_of(event_log.read(folder / "events"))
    never = [f"{missing} runs could not be started"] if missing else []
    children = TaskResult.objects.exclude(task_id__in=[run.id for run in seen])
    seconds, recovered = verdict.slowest_recovery(seen, bodies)
    lease = leases.lease().total_seconds()
    return Report(
        runs=Counter(run.state for run in seen),
        steps=sum(len(run.steps) for run in seen),
        items=sum(len(step.items) for run in seen for step in run.steps),
        attempts=len(bodies.by_attempt),
        unfinished=verdict.unfinished(bodies),
        child_runs=sum(run.parent is not None for run in seen),
        answers=sum(len(answers) for answers in given.values()),
        notifications=sum(run.notifications or 0 for run in seen),
        faults=faults,
        recovery=f"{seconds:.1f} s ({recovered or 'none was needed'})",
        settling=settling,
        left_over=[f"{row.task_id} {row.status} {row.result}" for row in children],
        late_workers=late,
        lost=never + verdict.lost(seen, bodies),
        doubled=verdict.doubled(seen, bodies, injector.silences, lease),
        out_of_order=verdict.out_of_order(seen, bodies),
    )


def _read_runs(given: Mapping[tuple[str, str], Collection[str]]) -> list[RunSeen]:
    """All runs, with their child runs in their steps too.

    Args:
        given: the answers that users were told a run had taken, by its id and the signal's name.
    """
    stored = dict(TaskResult.objects.values_list("task_id", "status"))
    told = Counter(Delivery.objects.values_list("run_id", flat=True))
    retries = Counter(Event.objects.filter(what="retry").values_list("run_id", flat=True))
    items: dict[int, list[Item]] = defaultdict(list)
    for item in Item.objects.select_related("step").order_by("step", "index"):
        items[item.step_id].append(item)
    changed = {*Event.objects.filter(what__in=CHANGES).values_list("run_id", flat=True)}
    seen: dict[UUID, RunSeen] = {}
    # Child runs first: the deepest are inside of all others.
    for run in Run.objects.order_by("-depth").prefetch_related("steps"):
        feeding = {step.fed_by for step in run.steps.all()}
        steps = [
            replace(
                _seen(step, step.items, [_item_seen(item, seen) for item in items[step.pk]]),
                nested=step.nested,
                child=seen.get(step.child_run_id) if step.child_run_id else None,
                given=_given(step, feeding, given),
            )
            for step in run.steps.all()
        ]
        seen[run.pk] = RunSeen(
            id=str(run.pk),
            state=run.state,
            stored=stored.get(str(run.pk)),
            cancelled=not changed.isdisjoint({run.pk, run.parent_run_id}),
            steps=steps,
            ends=1 + retries[run.pk],
            notifications=told[run.pk] if run.workflow in NOTIFIES else None,
            parent=str(run.parent_run_id) if run.is_child else None,
            key=run.place_key,
        )
    return list(seen.values())


def _given(
    step: Step, feeding: Collection[str], given: Mapping[tuple[str, str], Collection[str]]
) -> Collection[str]:
    found = given.get((str(step.run_id), step.fed_by or step.name), ())
    return {str(len(found))} if step.name in feeding else found


def _item_seen(item: Item, seen: Mapping[UUID, RunSeen]) -> StepSeen:
    child = seen.get(item.child_run_id) if item.child_run_id else None
    return replace(_seen(item), nested=item.nested, child=child, key=item.key)


def _seen(
    row: Step | Item, counters: Mapping[str, int] | None = None, items: Sequence[StepSeen] = ()
) -> StepSeen:
    step = row.step if isinstance(row, Item) else row
    result = row.result
    if items:
        result = [item.result for item in items if item.state == "OK"]
    elif row.awaits and isinstance(result, dict):
        result = said(result)
    return StepSeen(
        name=row.name,
        state=row.state,
        attempt=row.task_id,
        result=result,
        after=step.after,
        when=step.when,
        left=step.retries - row.retries_used,
        counters=counters,
        items=items,
        awaits=row.awaits,
        fed_by=step.fed_by,
    )
