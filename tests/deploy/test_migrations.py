"""A deploy migrates first, while the release before goes on writing, and changes the code then.

The release before is its models as the migrations remember them: a statement of theirs names the
columns that it knew, and no other.
"""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.apps.registry import Apps
from django.db import OperationalError, connection, transaction
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import CreateModel
from django.db.models import ForeignKey
from django.db.models.functions import Now

from children.meta import Meta
from parent.models import Run, Step
from parent.operations.migrating import TakeTables
from parent.runs.endings import end_attempt
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

GRAPH = MigrationLoader(None).graph
[NEWEST] = GRAPH.leaf_nodes("parent")
EARLIER = [name for app, name in GRAPH.forwards_plan(NEWEST) if app == "parent"][:-1]


def migrate(*target: tuple[str, str]) -> Apps:
    """Migrate forward or back; returns the models as they were there."""
    executor = MigrationExecutor(connection)
    executor.migrate([*target])
    return executor.loader.project_state([*target]).apps


@pytest.fixture(autouse=True)
def _the_newest_again() -> Iterator[None]:
    yield
    migrate(NEWEST)


class Release:
    """What a release writes, through its own models."""

    def __init__(self, models: Apps) -> None:
        self._models = models

    def __getattr__(self, name: str) -> Any:
        """The rows of a model: `release.Run`."""
        return self._models.get_model("parent", name)._default_manager

    def start(self) -> Any:
        """A run of three steps: the first is done, the second runs, the third waits."""
        states = {"first": "OK", "second": "RUNNING", "third": "WAITING"}
        executor = self.Executor.create(host="before", pid=1)
        with transaction.atomic():
            run = self.Run.create(workflow="noops", state="PROGRESS", started_at=Now())
            for index, (name, state) in enumerate(states.items()):
                self.Step.create(
                    **{"run": run, "index": index, "name": name, "task": "tests.noop"},
                    **{"state": state, "after": [*states][:index][-1:], "task_id": str(uuid4())},
                    executor=executor if state == "RUNNING" else None,
                )
        return run.pk

    def end(self, run_id: Any) -> None:
        with transaction.atomic():
            self.Run.select_for_update().get(pk=run_id)
            self.Step.filter(run_id=run_id).update(state="OK", finished_at=Now(), completion=100)
            self.Run.filter(pk=run_id).update(state="SUCCESS", finished_at=Now())


def test_each_earlier_release_writes_to_the_newest_schema_and_this_one_ends_what_it_began() -> None:
    """One way through all migrations, with rows of each release."""
    begun = {}
    for name in EARLIER:
        release = Release(migrate(("parent", name)))
        begun[name] = release, release.start(), release.start()
    migrate(NEWEST)

    for name, (release, under_way, handed_over) in begun.items():
        begun_now = release.start()
        release.end(begun_now)
        release.end(under_way)
        for step in ("second", "third"):
            attempt = Step.objects.get(run=handed_over, name=step).task_id
            end_attempt(str(attempt), Meta().ok(step))

        runs = Run.objects.in_bulk([begun_now, under_way, handed_over])
        assert [run.state for run in runs.values()] == ["SUCCESS"] * 3, name
        run = runs[handed_over]
        assert (run.result, run.completion) == ("third", 100), name


class Writer(threading.Thread):
    """A process of the release before: it starts runs and ends them until it is told to stop.

    As the engine does, it tries again what a lock or a deadlock has thrown back.
    """

    def __init__(self, release: Release) -> None:
        super().__init__(daemon=True)
        self.ended: list[Any] = []
        self.error: Exception | None = None
        self.stopping = threading.Event()
        self._release = release

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                run_id = self._again(self._release.start)
                self._again(lambda: self._release.end(run_id))  # noqa: B023 - called at once
                self.ended.append(run_id)
        except Exception as exc:
            self.error = exc
        finally:
            connection.close()

    def _again(self, write: Any) -> Any:
        while True:
            try:
                return write()
            except OperationalError:
                connection.close()


def test_the_first_release_goes_on_writing_while_all_is_migrated() -> None:
    release = Release(migrate(("parent", EARLIER[0])))
    writers = [Writer(release) for _ in range(3)]
    for writer in writers:
        writer.start()

    def wrote_more(than: list[int]) -> bool:
        return all(
            writer.error or len(writer.ended) >= count + 3
            for writer, count in zip(writers, than, strict=True)
        )

    until("runs before it", lambda: wrote_more([0, 0, 0]))
    migrate(NEWEST)
    before = [len(writer.ended) for writer in writers]
    until("runs after it", lambda: wrote_more(before))
    for writer in writers:
        writer.stopping.set()
        writer.join()

    assert [writer.error for writer in writers] == [None, None, None]
    ended = {run_id for writer in writers for run_id in writer.ended}
    assert {*Run.objects.filter(state="SUCCESS").values_list("pk", flat=True)} == ended
    assert Step.objects.exclude(state="OK").count() == 0


def referred_to(migration: Migration) -> set[str]:
    """The tables of ours to which new foreign keys refer: PostgreSQL locks these too."""
    fields: list[Any] = [
        field
        for each in migration.operations
        for field in (
            [field for _, field in each.fields]
            if isinstance(each, CreateModel)
            else [getattr(each, "field", None)]
        )
    ]
    keys: list[Any] = [field for field in fields if isinstance(field, ForeignKey)]
    keys = [key for key in keys if key.db_constraint]
    names = [str(key.remote_field.model).lower() for key in keys]
    return {name.removeprefix("parent.") for name in names if name.startswith("parent.")}


def test_a_migration_of_several_tables_takes_them_first() -> None:
    """Else it and a worker may each wait for what the other holds."""
    loader = MigrationLoader(None)
    for name in [*EARLIER[1:], NEWEST[1]]:
        migration = loader.get_migration("parent", name)
        new = {each.name_lower for each in migration.operations if isinstance(each, CreateModel)}
        named = (getattr(each, "model_name", "").lower() for each in migration.operations)
        changed = {name for name in named if name} - new
        locked = changed | (referred_to(migration) - new)
        taken = [each.models for each in migration.operations[:1] if isinstance(each, TakeTables)]

        assert len(locked) < 2 or [{*models} for models in taken] == [locked], name
