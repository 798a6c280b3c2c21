"""Given runs that ended long ago, they are deleted with all their rows and files; others stay."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from children.meta import Meta
from parent.deletion.prune import prune, prune_all
from parent.models import Attempt, Event, Executor, Run, Step
from parent.runs.automatic_retry import RetryDecision
from parent.runs.endings import end_attempt, end_run
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.watch.tick import Ticker
from tests.flows import workflows

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=30)


def ended(days_ago: float) -> Run:
    run = start(workflows.noops, {})
    end_run(run.pk, "enough")
    Run.objects.filter(pk=run.pk).update(finished_at=Now() - timedelta(days=days_ago))
    return run


def left() -> set[Any]:
    return set(Run.objects.values_list("pk", flat=True))


def test_old_runs_are_deleted_and_young_ones_stay() -> None:
    ended(31)
    young = ended(29)

    assert prune(MONTH, at_most=10) == 1

    assert left() == {young.pk}
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == [str(young.pk)]


def test_a_run_that_has_not_ended_stays_however_old() -> None:
    run = start(workflows.noops, {})
    Run.objects.update(created_at=Now() - timedelta(days=400))

    assert prune(MONTH, at_most=10) == 0
    assert left() == {run.pk}


def test_the_oldest_go_first_and_no_more_than_asked_for() -> None:
    runs = [ended(days) for days in (40, 60, 50)]

    assert prune(MONTH, at_most=2) == 2

    assert left() == {runs[0].pk}


def test_earlier_attempts_are_deleted_with_the_run() -> None:
    run = start(workflows.noops, {})
    Step.objects.update(retries=1)
    old = str(Step.objects.get(index=0).task_id)
    end_attempt(old, Meta().failed("bad"), retry=RetryDecision())
    end_run(run.pk, "enough")
    TaskResult.objects.create(task_id=old, status="FAILURE")  # of a process that woke up late
    Run.objects.update(finished_at=Now() - timedelta(days=31))

    prune(MONTH, at_most=10)

    assert not Attempt.objects.exists()
    assert not TaskResult.objects.exists()


def test_fifty_runs_take_as_many_statements_as_two() -> None:
    def statements(count: int) -> int:
        for _ in range(count):
            ended(31)
        with CaptureQueriesContext(connection) as captured:
            assert prune(MONTH, at_most=100) == count
        return len(captured)

    assert statements(2) == statements(50)


@pytest.mark.parametrize(("most", "pruned"), [(1, 1), (5, 1), (6, 2), (8, 2), (9, 3), (100, 3)])
def test_one_transaction_deletes_a_bounded_number_of_steps(
    monkeypatch: pytest.MonkeyPatch, most: int, pruned: int
) -> None:
    monkeypatch.setattr("parent.deletion.delete.STEPS_PER_TRANSACTION", most)
    runs = [ended(days) for days in (60, 50, 40)]  # of three steps each

    assert prune(MONTH, at_most=10) == pruned
    assert left() == {run.pk for run in runs[pruned:]}
    prune_all(MONTH)
    assert left() == set()


def test_all_rows_of_a_deleted_run_are_deleted() -> None:
    run = ended(31)
    retry(run.pk, who="me")
    end_run(run.pk, "enough")
    Run.objects.update(finished_at=Now() - 2 * MONTH)
    stays = ended(1)

    assert prune(MONTH, at_most=10) == 1

    tables = [Run, Step, Attempt, Event, TaskResult]
    assert [len(model._default_manager.all()) for model in tables] == [1, 3, 0, 0, 1]
    assert left() == {stays.pk}


@pytest.mark.django_db(transaction=True)
def test_a_file_that_cannot_be_deleted_does_not_keep_others(media: Path) -> None:
    names = []
    for days in (60, 50, 40):
        run = ended(days)
        names.append(default_storage.save(f"runs/{run.pk}/a.csv", ContentFile(b"x")))
        Run.objects.filter(pk=run.pk).update(files=names[-1:])
    Path(media, names[0]).unlink()
    Path(media, names[0], "not a file").mkdir(parents=True)

    assert prune(MONTH, at_most=10) == 3

    assert [name for name in names if default_storage.exists(name)] == names[:1]
    assert [path.name for path in (media / "runs").iterdir()] == [names[0].split("/")[1]]


def test_a_tick_prunes_by_itself(settings: Any) -> None:
    settings.WORKFLOW_RETENTION = 3600
    ended(1)
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    assert left() == set()


def test_without_a_retention_nothing_is_pruned(settings: Any) -> None:
    settings.WORKFLOW_RETENTION = 0
    run = ended(10_000)
    ticker = Ticker(Executor.objects.create(host="here", pid=1).pk)
    while not ticker.tick():
        pass

    assert left() == {run.pk}
