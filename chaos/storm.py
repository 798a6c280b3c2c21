"""One storm, from the first run to the verdict."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django_celery_results.models import TaskResult

from chaos import marks, verdict
from chaos.crew import Crew
from chaos.schedule import Fault
from chaos.servers import Broker, Database
from chaos.users import Users
from chaos.verdict import RunSeen, StepSeen
from chaos.weather import Weather
from parent.models import Run
from parent.store import executors

__all__ = ["Report", "rage"]

STANDSTILL = 120.0
"""Seconds in which none of the runs ends, after which the rest is lost. How long all of them
take is the machine's affair."""
USERS_LEAVE = 120.0
TELL_EVERY = 15.0
LOOK_EVERY = 0.5


@dataclass(frozen=True, kw_only=True)
class Report:
    """What there is to tell. `lost`, `doubled`, `out_of_order`, `left_over` have a line a case."""

    runs: Counter[str]
    steps: int
    attempts: int
    perished: int
    faults: Counter[str]
    recovery: str
    calm: float
    left_over: list[str]
    late_workers: list[str]
    lost: list[str]
    doubled: list[str]
    out_of_order: list[str]

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order or self.left_over)


def rage(
    folder: Path,
    broker: Broker,
    database: Database,
    schedule: Sequence[Fault],
    *,
    runs: int,
    seconds: float,
) -> Report:
    """Start so many runs over so many seconds, let the faults strike, wait for the calm."""
    call_command("migrate", verbosity=0)
    crew = Crew(folder)
    weather = Weather(crew, broker, database, folder / "faults.log")
    users = Users(runs, seconds)
    try:
        crew.start()
        users.start()
        weather.rage(schedule, seconds, users.do, _Teller(users).turn)
        calm = _calm(users, crew)
        late = crew.stop()
    finally:
        crew.kill()
    faults = Counter(str(fault.kind) for fault in weather.struck)
    return _report(folder, weather, faults, calm, late, missing=runs - users.started)


class _Teller:
    """Says from time to time how far it is."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._next = TELL_EVERY

    def turn(self, now: float) -> None:
        if now >= self._next:
            self._next += TELL_EVERY
            print(f"{now:6.0f} s  {self._users.started} runs started", flush=True)


def _calm(users: Users, crew: Crew) -> float:
    """Wait until all has ended; returns the seconds that it took."""
    begun = tell_at = time.monotonic()
    users.leave(USERS_LEAVE)
    connection.close()  # it is from before the database was gone
    last, give_up_at = 0, time.monotonic() + STANDSTILL
    while time.monotonic() < give_up_at:
        crew.mend()
        going = Run.objects.exclude(state__in=Run.ENDED).count()
        if not going:
            break
        if going != last:
            last, give_up_at = going, time.monotonic() + STANDSTILL
        if time.monotonic() >= tell_at:
            tell_at += TELL_EVERY
            print(f"the storm is over: {going} runs have not ended yet", flush=True)
        time.sleep(LOOK_EVERY)
    return time.monotonic() - begun


def _report(
    folder: Path,
    weather: Weather,
    faults: Counter[str],
    calm: float,
    late: list[str],
    *,
    missing: int,
) -> Report:
    seen = _look()
    bodies = verdict.bodies_of(marks.read(folder / "marks"))
    never = [f"{missing} runs could not be started"] if missing else []
    children = TaskResult.objects.exclude(task_id__in=[run.id for run in seen])
    seconds, recovered = verdict.slowest_recovery(seen, bodies)
    lease = executors.lease().total_seconds()
    return Report(
        runs=Counter(run.state for run in seen),
        steps=sum(len(run.steps) for run in seen),
        attempts=len(bodies.by_attempt),
        perished=verdict.perished(bodies),
        faults=faults,
        recovery=f"{seconds:.1f} s ({recovered or 'none was needed'})",
        calm=calm,
        left_over=[f"{row.task_id} {row.status} {row.result}" for row in children],
        late_workers=late,
        lost=never + verdict.lost(seen, bodies),
        doubled=verdict.doubled(seen, bodies, weather.silences, lease),
        out_of_order=verdict.out_of_order(seen, bodies),
    )


def _look() -> list[RunSeen]:
    stored = dict(TaskResult.objects.values_list("task_id", "status"))
    return [
        RunSeen(
            id=str(run.pk),
            state=run.state,
            stored=stored.get(str(run.pk)),
            cancelled=run.events.exists(),
            steps=[
                StepSeen(
                    name=step.name,
                    state=step.state,
                    attempt=step.task_id,
                    result=step.result,
                    after=step.after,
                    left=step.retries - step.retried,
                )
                for step in run.steps.all()
            ],
        )
        for run in Run.objects.prefetch_related("steps")
    ]
