"""Given a workflow and parameters, a start writes everything, or nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError
from django_celery_results.models import TaskResult
from rest_framework import serializers

from parent.definition.workflow import Step, Workflow, registry
from parent.deletion.delete import delete_run
from parent.errors import InvalidParams, InvalidWorkflow, RunActive
from parent.inline import run_inline
from parent.models import Run
from parent.models import Step as StepRow
from parent.runs import new_run
from parent.runs import start as start_module
from parent.runs.start import start
from parent.store.files import delete_files, store_files
from tests.flows import tasks, workflows

pytestmark = pytest.mark.django_db


class UploadParams(serializers.Serializer[None]):
    file = serializers.FileField()
    note = serializers.CharField(required=False)


@pytest.fixture
def upload(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """A workflow with a file parameter, registered for this test only."""
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    steps = [Step(tasks.noop, inputs=lambda _: {})]
    return Workflow("upload_for_a_test", params=UploadParams, steps=steps)


def test_a_started_run_is_rows_and_a_pending_result() -> None:
    run = start(workflows.sums, {"a": "5"})

    assert (run.state, run.params) == ("PENDING", {"a": 5})
    assert list(run.steps.values_list("name", "state", "after")) == [
        ("one", "QUEUED", []),
        ("two", "WAITING", ["one"]),
        ("three", "WAITING", ["two"]),
    ]
    result: Any = current_app.AsyncResult(str(run.pk))
    assert (result.state, result.info["status"]) == ("PENDING", "PENDING")


@pytest.mark.parametrize(
    ("params", "field", "error"),
    [
        ({}, "a", "This field is required."),
        ({"a": "x"}, "a", "A valid integer is required."),
        ({"a": 1, "b": 2}, "b", "This workflow has no such parameter."),
    ],
)
def test_bad_parameters_are_errors_by_field_and_leave_nothing(
    params: dict[str, Any], field: str, error: str
) -> None:
    with pytest.raises(InvalidParams, match=error) as caught:
        start(workflows.sums, params)

    assert list(map(str, caught.value.errors[field])) == [error]
    assert not Run.objects.exists()
    assert not TaskResult.objects.exists()


def test_a_workflow_without_parameters_takes_none() -> None:
    with pytest.raises(InvalidParams, match="a: This workflow has no such parameter"):
        start(workflows.noops, {"a": 1})


def test_a_file_is_stored_with_the_run_by_its_bare_name(upload: Workflow, media: Path) -> None:
    file = ContentFile(b"some bytes", name="..\\../etc/pass wd.csv")

    run = run_inline(upload, file=file)

    name = run.params["file"]
    assert name == f"runs/{run.pk}/pass_wd.csv"
    with default_storage.open(name) as stored:
        assert stored.read() == b"some bytes"


@pytest.mark.django_db(transaction=True)
def test_a_removed_run_leaves_no_row_and_no_file(upload: Workflow, media: Path) -> None:
    run = run_inline(upload, file=ContentFile(b"some bytes", name="a.csv"))

    delete_run(run)

    assert not Run.objects.exists()
    assert not StepRow.objects.exists()
    assert not TaskResult.objects.exists()
    assert [*(media / "runs").iterdir()] == []


def test_a_file_that_cannot_be_stored_leaves_no_other(media: Path) -> None:
    class CutOff(ContentFile):  # type: ignore[type-arg]
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:  # noqa: ARG002
            raise OSError("the client has gone")

    files = {"one": ContentFile(b"1", name="one"), "two": CutOff(b"2", name="two")}

    with pytest.raises(OSError, match="the client has gone"):
        store_files(files, uuid4())

    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_a_start_that_fails_leaves_no_file(upload: Workflow, media: Path) -> None:
    taken = start(workflows.noops, {})

    with pytest.raises(IntegrityError):
        start(upload, {"file": ContentFile(b"x", name="a.csv")}, run_id=taken.pk)

    assert not [path for path in media.rglob("*") if path.is_file()]


def test_a_run_that_is_active_is_not_removed() -> None:
    run = start(workflows.noops, {})

    with pytest.raises(RunActive, match="PENDING"):
        delete_run(run)


def test_a_workflow_that_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    steps = [Step(tasks.noop, name="a", after=["b"]), Step(tasks.noop, name="b")]
    circular = Workflow("circular_for_a_test", steps=steps)

    with pytest.raises(InvalidWorkflow, match="wait for each other: a -> b -> a"):
        start(circular, {})


def test_run_inline_runs_a_whole_workflow_without_a_broker() -> None:
    run = run_inline(workflows.diamond, a=1)

    assert (run.state, run.result, run.completion) == ("SUCCESS", 32, 100.0)
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == [str(run.pk)]


def test_run_inline_ends_with_the_error_of_the_failed_step() -> None:
    run = run_inline(workflows.broken)

    assert (run.state, run.error) == ("FAILURE", "Error in fails: it is broken")


def test_run_inline_runs_foreign_tasks_too() -> None:
    assert run_inline(workflows.foreign, a=2).result == [2, 2]


def test_a_parent_task_called_directly_runs_the_workflow_here() -> None:
    assert workflows.sums.task(a=1) == 6


def test_an_error_names_the_step_where_it_has_a_name_of_its_own() -> None:
    assert run_inline(workflows.renamed).error == "Error in shipping: it is broken"


def test_an_error_whose_text_no_database_takes_is_recorded() -> None:
    run = run_inline(workflows.unstorable_inputs)

    assert run.error == "Error in the inputs of add: NUL \N{REPLACEMENT CHARACTER}, ?"


def test_a_start_whose_first_inputs_cannot_be_made_is_a_failed_run() -> None:
    run = start(workflows.wrong_inputs, {})

    assert (run.state, run.started_at) == ("FAILURE", None)
    assert run.error is not None
    assert run.error.startswith("Error in the inputs of add: ")
    assert current_app.AsyncResult(str(run.pk)).state == "FAILURE"


def test_an_inline_run_whose_step_cannot_be_claimed_raises_and_does_not_go_on_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise LookupError("no such executor")

    monkeypatch.setattr("parent.worker.host.ParentHost.claim", fail)

    with pytest.raises(LookupError, match="no such executor"):
        run_inline(workflows.noops)


def test_many_are_started_in_order_and_published_when_that_commits(
    django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "BATCH", 2)
    published: list[str] = []

    def publish(steps: list[StepRow]) -> None:
        published.extend(str(step.task_id) for step in steps)

    monkeypatch.setattr(new_run, "publish_steps", publish)

    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        runs = workflows.sums.start_many({"a": str(number)} for number in range(5))

    assert [run.params for run in runs] == [{"a": number} for number in range(5)]
    assert len(callbacks) == 3
    opened = StepRow.objects.filter(state="QUEUED")
    assert published == [opened.get(run=run).task_id for run in runs]
    assert set(TaskResult.objects.values_list("task_id", flat=True)) == {str(r.pk) for r in runs}
    for run in runs:
        assert list(run.steps.values_list("name", flat=True)) == ["one", "two", "three"]
        run.message = "it is saved as another row is"
        run.save()


def test_none_of_many_is_started_if_the_parameters_of_one_are_wrong() -> None:
    with pytest.raises(InvalidParams) as caught:
        workflows.sums.start_many([{"a": 1}, {"a": "x"}, {"a": 2}, {}])

    assert caught.value.errors == {
        1: {"a": ["A valid integer is required."]},
        3: {"a": ["This field is required."]},
    }
    assert "1: " in str(caught.value)
    assert not Run.objects.exists()


class Odd(serializers.Serializer[Any]):
    number = serializers.IntegerField()

    def validate_number(self, number: int) -> Any:
        return object() if number == 3 else number


def test_of_many_runs_none_is_written_where_one_has_values_that_are_no_json(
    own_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "BATCH", 2)
    flow = Workflow("odd", params=Odd, steps=[Step(tasks.noop, inputs=lambda _: {})])

    with pytest.raises(InvalidParams) as told:
        flow.start_many([{"number": number} for number in range(5)])

    assert list(told.value.errors) == [3]
    assert not Run.objects.exists()


def test_a_batch_that_cannot_be_written_leaves_neither_rows_nor_files(
    upload: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise IntegrityError

    monkeypatch.setattr("parent.runs.new_run.results.prepare_create", breaks)
    deleted: list[str] = []
    monkeypatch.setattr(start_module, "delete_files", deleted.extend)

    with pytest.raises(IntegrityError):
        upload.start_many({"file": ContentFile(b"x", f"{n}.txt")} for n in range(3))

    assert not Run.objects.exists()
    assert len(deleted) == 3
    delete_files(deleted)
    assert not any(map(default_storage.exists, deleted))


def test_none_at_all_are_no_runs() -> None:
    assert workflows.sums.start_many([]) == []
