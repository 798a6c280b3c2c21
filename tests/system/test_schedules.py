"""Schedules on real workers, and a real `celery beat` beside them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from parent.models import Firing, Run, Schedule
from parent.schedules.control import make
from tests.system.conftest import StartWorker
from tests.waiting import ended, until
from tests.workers import Worker, database_url

ROOT = Path(__file__).resolve().parents[2]
BEAT = """
from mainproj.celery import app
from celery.schedules import crontab

app.conf.beat_schedule = {
    "often": {"task": "parent.noops", "schedule": 1.0},
    "with parameters": {"task": "parent.sums", "schedule": 1.0, "kwargs": {"a": 5}},
    "at noon": {"task": "parent.noops", "schedule": crontab(hour=12, minute=0)},
}
"""


def test_a_workers_watch_starts_what_a_schedule_says(worker: Worker) -> None:
    make("noops", "often", {"every": 1}, who="ann")

    def three() -> list[Firing]:
        found = list(Firing.objects.filter(state="STARTED").order_by("nominal_at"))
        return found if len(found) >= 3 else []

    firings = until("three runs", three)

    for firing in firings:
        assert firing.run is not None
        assert ended(firing.run).state == "SUCCESS"
    times = [firing.nominal_at for firing in Firing.objects.order_by("nominal_at")]
    assert len(set(times)) == len(times)
    assert all(time.microsecond == 0 for time in times)


def test_two_workers_and_one_that_is_killed_start_each_time_once(
    start_worker: StartWorker,
) -> None:
    first, _ = (start_worker("-P", "threads", "-c", "1") for _ in range(2))
    row = make("noops", "often", {"every": 1, "overlap": "allow", "catch_up": "all"}, who="ann")
    until("a run", Firing.objects.filter(state="STARTED").exists)

    first.kill()
    before = timezone.now()
    later = Firing.objects.filter(nominal_at__gt=before + timedelta(seconds=2))
    until("runs of the other worker", later.exists)
    Schedule.objects.filter(pk=row.pk).update(paused_at=timezone.now(), due_at=None)

    times = list(Firing.objects.order_by("nominal_at").values_list("nominal_at", flat=True))
    whole = [times[0] + timedelta(seconds=number) for number in range(len(times))]
    assert times == whole
    assert Run.objects.count() == len(times)


@pytest.fixture
def beat(broker: str, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A real `celery beat` with these entries."""
    (tmp_path / "with_beat.py").write_text(BEAT)
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": broker,
    }
    command = [sys.executable, "-m", "celery", "-A", "with_beat", "beat"]
    command += ["--schedule", str(tmp_path / "beat"), "--pidfile", ""]
    process = subprocess.Popen(
        command, env=environ, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield process
    process.terminate()
    process.wait(30)


def test_celery_beat_starts_runs_as_ordinary_tasks(
    worker: Worker, beat: "subprocess.Popen[bytes]"
) -> None:
    def started() -> dict[str, Run]:
        runs = {run.workflow: run for run in Run.objects.filter(workflow__in=["noops", "sums"])}
        return runs if len(runs) == 2 else {}

    runs = until("a run of each", started)

    assert ended(runs["noops"]).state == "SUCCESS"
    assert runs["sums"].params == {"a": 5}
    assert ended(runs["sums"]).state == "SUCCESS"
    assert not Firing.objects.exists()
