"""Given the same key, the same start is one run, and another start is refused."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor
from rest_framework import serializers

from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.errors import KeyReused
from parent.models import Run, Step
from parent.runs import start as starting
from parent.runs.idempotency import earlier_run
from parent.runs.start import start
from tests.flows import tasks, workflows

pytestmark = pytest.mark.django_db


class FileParams(serializers.Serializer[None]):
    file = serializers.FileField()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def reads() -> Iterator[Workflow]:
    yield Workflow("reads", params=FileParams, steps=[StepDefinition(tasks.noop)])
    registry._workflows.pop("reads", None)


def start_sums(owner: User, key: str | None = "key", **params: Any) -> Run:
    return start(workflows.sums, params or {"a": 1}, owner=owner, idempotency_key=key)


def file(content: bytes = b"a,b", name: str = "t.csv") -> dict[str, SimpleUploadedFile]:
    return {"file": SimpleUploadedFile(name, content)}


def test_the_same_key_and_parameters_are_one_run(ada: User) -> None:
    assert start_sums(ada) == start_sums(ada)
    assert Run.objects.count() == 1


def test_keys_compare_validated_values_not_their_spelling(ada: User) -> None:
    assert start_sums(ada, a=1) == start_sums(ada, a="1")


def test_without_a_key_every_start_is_a_run(ada: User) -> None:
    assert start_sums(ada, None) != start_sums(ada, None)


def test_a_key_cannot_be_used_for_another_start(ada: User) -> None:
    start_sums(ada, a=1)

    with pytest.raises(KeyReused, match="take a new one"):
        start_sums(ada, a=2)
    with pytest.raises(KeyReused):
        start(workflows.noops, {}, owner=ada, idempotency_key="key")
    assert Run.objects.count() == 1


def test_a_key_is_its_owners_alone(ada: User) -> None:
    assert start_sums(ada) != start_sums(User.objects.create_user("bob"))


@pytest.mark.parametrize(
    ("again", "same"),
    [(file(), True), (file(b"c,d"), False), (file(name="other.csv"), False)],
    ids=["the same", "other content", "other name"],
)
def test_files_are_compared_by_name_and_content(
    ada: User, reads: Workflow, again: dict[str, Any], same: bool
) -> None:
    run = start(reads, file(), owner=ada, idempotency_key="key")

    if same:
        assert start(reads, again, owner=ada, idempotency_key="key") == run
    else:
        with pytest.raises(KeyReused):
            start(reads, again, owner=ada, idempotency_key="key")


def test_of_two_simultaneous_starts_the_second_returns_the_run_of_the_first(
    ada: User, reads: Workflow, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither found an earlier run when it looked; the constraint decides."""
    first = start(reads, file(), owner=ada, idempotency_key="key")
    answers, look = iter([None]), earlier_run

    def look_too_early(*args: Any) -> Run | None:
        return next(answers, look(*args))

    monkeypatch.setattr(starting, "earlier_run", look_too_early)

    assert start(reads, file(), owner=ada, idempotency_key="key") == first

    assert Run.objects.count() == 1
    assert len([path for path in media.rglob("*") if path.is_file()]) == 1


def test_a_key_without_an_owner_is_unique_too() -> None:
    first = start(workflows.sums, {"a": 1}, idempotency_key="key")

    assert start(workflows.sums, {"a": 1}, idempotency_key="key") == first
    with pytest.raises(IntegrityError, match=r"idempotency_key|started_once"):
        Run.objects.create(workflow="sums", idempotency_key="key")


def test_starts_without_owner_and_key_are_separate_runs() -> None:
    assert start(workflows.noops, {}) != start(workflows.noops, {})


def test_runs_whose_owners_are_deleted_lose_their_key(ada: User) -> None:
    bob = User.objects.create_user("bob")
    runs = [start_sums(ada), start_sums(bob)]

    User.objects.all().delete()

    assert {(run.owner, run.idempotency_key) for run in Run.objects.all()} == {(None, None)}
    assert start(workflows.sums, {"a": 1}, idempotency_key="key") not in runs


@pytest.mark.django_db(transaction=True)
def test_simultaneous_starts_without_owner_with_one_key_are_one_run() -> None:
    many = 20
    together = threading.Barrier(many)

    def begin_one(_: int) -> UUID:
        together.wait(timeout=30)
        try:
            return start(workflows.sums, {"a": 1}, idempotency_key="key").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(many) as threads:
        started = set(threads.map(begin_one, range(many)))

    assert started == {Run.objects.get().pk}
    assert Step.objects.count() == len(workflows.sums.steps)


@pytest.mark.django_db(transaction=True)
def test_of_duplicate_keys_without_owner_the_migration_keeps_the_first() -> None:
    """What the migration finds where an older version has run."""
    executor = MigrationExecutor(connection)
    before = executor.loader.project_state([("parent", "0003_mirrored_at")]).apps
    executor.migrate([("parent", "0003_mirrored_at")])
    try:
        old: Any = before.get_model("parent", "Run")
        ids = [
            old.objects.create(workflow="sums", idempotency_key=key).pk for key in ["k", "k", "l"]
        ]
    finally:
        migrator = MigrationExecutor(connection)
        migrator.migrate(migrator.loader.graph.leaf_nodes())

    keys = [Run.objects.get(pk=pk).idempotency_key for pk in ids]
    assert sorted(keys[:2], key=str) == [None, "k"]
    assert keys[2] == "l"
