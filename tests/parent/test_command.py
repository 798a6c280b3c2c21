"""`manage.py workflow`: what it takes, what it prints, and what it refuses."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from rest_framework import serializers

from parent import Step as StepDefinition
from parent import Workflow
from parent.definition.workflow import registry
from parent.management.arguments import params_of
from parent.models import Run, RunState
from tests.children.celery_app import restored_tasks
from tests.flows import tasks, workflows

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def workflow(*words: str) -> str:
    """What the command prints to stdout."""
    stdout = StringIO()
    call_command("workflow", *words, stdout=stdout, stderr=StringIO())
    return stdout.getvalue()


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as refused:
        workflow(*words)
    return str(refused.value)


class ManyKinds(serializers.Serializer[None]):
    limit = serializers.IntegerField(default=100, help_text="How many.")
    name = serializers.CharField()
    note = serializers.CharField(required=False)
    ratio = serializers.FloatField(default=lambda: 0.5)
    colour = serializers.ChoiceField(choices=["red", "dark red"], default="red")
    sizes = serializers.ListField(child=serializers.IntegerField(), default=[1, 2])
    upload = serializers.FileField(required=False)
    made_at = serializers.HiddenField(default=0)


@pytest.fixture
def many_kinds(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A workflow in its own registry, so that no other test sees it."""
    monkeypatch.setattr(registry, "_workflows", {})
    with restored_tasks():
        yield Workflow(
            "many_kinds",
            description="Takes what there is.",
            params=ManyKinds,
            steps=[
                StepDefinition(tasks.noop, name="a"),
                StepDefinition(tasks.noop, name="b"),
                StepDefinition(tasks.noop, name="c", after=["a", "b"]),
                StepDefinition(tasks.noop, name="d", after=()),
                StepDefinition(tasks.noop, name="e", when="failed"),
                StepDefinition(tasks.noop, name="f", after=["a"], when="always", optional=True),
            ],
        )


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("10", 10),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": "b"}', {"a": "b"}),
        ('"10"', "10"),
        ('"@x"', "@x"),
        ("x", "x"),
        ("", ""),
        ("a=b", "a=b"),
        ("007", "007"),
        ("2024-05-01", "2024-05-01"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("{broken", "{broken"),
        ("9" * 5_000, "9" * 5_000),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_value_is_json_where_it_is_json_and_else_text(value: str, meant: object) -> None:
    with ExitStack() as files:
        assert params_of([f"key={value}"], files) == {"key": meant}


@pytest.mark.usefixtures("many_kinds")
def test_list_shows_description_parameters_and_steps() -> None:
    assert workflow("list").splitlines() == [
        "many_kinds",
        "  Takes what there is.",
        "  parameters:",
        "    limit: integer, default 100. How many.",
        "    name: string, required",
        "    note: string, optional",
        "    ratio: float, with a default",
        "    colour: choice of red | dark red, default red",
        "    sizes: list, default [1, 2]",
        "    upload: file (write @path), optional",
        "  steps: a, b, c (after a, b), d (after nothing), "
        "e (only after a failure), f (after a; always; optional)",
    ]


def test_list_shows_every_workflow() -> None:
    shown = workflow("list")

    assert "main_flow\n  Counts primes" in shown
    assert "noops\n  parameters:\n    none\n  steps: first, second, third" in shown


@pytest.mark.django_db
def test_start_prints_the_id_of_the_new_run() -> None:
    printed = workflow("start", "sums", "a=5")

    run = Run.objects.get(pk=printed.strip())
    assert (run.workflow, run.params, run.owner) == ("sums", {"a": 5}, None)
    assert run.steps.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words", [["--owner", "ann", "name=x", "limit=2"], ["name=x", "--owner", "ann", "limit=2"]]
)
@pytest.mark.usefixtures("many_kinds")
def test_options_may_stand_between_the_parameters(words: list[str]) -> None:
    ann = User.objects.create_user("ann")

    run = Run.objects.get(pk=workflow("start", "many_kinds", *words).strip())

    assert run.owner == ann
    assert (run.params["name"], run.params["limit"]) == ("x", 2)


@pytest.mark.django_db
@pytest.mark.usefixtures("many_kinds")
def test_a_file_is_stored_with_its_run(tmp_path: Path) -> None:
    given = tmp_path / "sizes.csv"
    given.write_bytes(b"1,2\n")

    run = Run.objects.get(pk=workflow("start", "many_kinds", "name=x", f"upload=@{given}").strip())

    assert run.files == [f"runs/{run.pk}/sizes.csv"] == [run.params["upload"]]
    with default_storage.open(run.files[0]) as stored:
        assert stored.read() == b"1,2\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "There is no workflow 'nothing'; registered are: "),
        (["nothing"], "`manage.py workflow list` shows them."),
        (["sums", "a"], "'a' is not a parameter: write key=value, such as limit=10."),
        (["sums", "=5"], "'=5' is not a parameter: write key=value"),
        (["sums", "a=1", "a=2"], "'a' is given twice: leave one of them out."),
        (["sums", 'a={"b": 1, "b": 2}'], "the key 'b' is there twice: send it once"),
        (["sums"], "\n  a: This field is required.\n"),
        (["sums", "a=x"], "\n  a: A valid integer is required.\n"),
        (["sums", "a=1", "b=2"], "\n  b: This workflow has no such parameter.\n"),
        (["sums", "a=x"], "\n  It takes:\n    a: integer, required"),
        (["noops", "a=x"], "\n  It takes:\n    none"),
        (["sums", "a=@/no/such/file"], "'/no/such/file' cannot be opened (No such file"),
        (["sums", "a=@/"], "'/' cannot be opened (Is a directory)"),
        (["sums", "a=1", "--owner", "zoe"], "There is no user whose username is 'zoe': correct it"),
        (["sums", "a=1", "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_start_refuses_and_says_what_to_do(words: list[str], told: str) -> None:
    assert told in refusal("start", *words)
    assert not Run.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("colour", ['"blue"', "[1]"])
@pytest.mark.usefixtures("many_kinds")
def test_a_refusal_names_each_field(colour: str) -> None:
    told = refusal("start", "many_kinds", f"colour={colour}", 'sizes=["x"]', "upload=x")

    assert told.startswith("many_kinds was not started:\n")
    assert '\n  colour: "' in told
    assert '\n  sizes: {"0": ["A valid integer is required."]}\n' in told
    assert "\n  upload: The submitted data was not a file." in told
    assert "\n    upload: file (write @path), optional" in told


@pytest.mark.django_db
def test_watch_refuses_an_id_that_is_none_and_one_that_nobody_has() -> None:
    assert "'12' is not a run id: give the one that" in refusal("watch", "12")
    unknown = "0d3f0000-0000-4000-8000-000000000001"
    assert refusal("watch", unknown) == (
        f"There is no run {unknown}: the id is wrong, or the run was deleted."
    )


@pytest.mark.django_db
def test_watch_of_an_ended_run_prints_its_result() -> None:
    run = ended(RunState.SUCCESS, result={"text": "\x1b[31m ü", "n": [1]})

    assert json.loads(workflow("watch", str(run.pk))) == {"text": "\x1b[31m ü", "n": [1]}


@pytest.mark.django_db
def test_watch_of_a_failed_run_is_its_error() -> None:
    run = ended(RunState.FAILURE, error="Error in add: \x1b[2J\nno")

    assert refusal("watch", str(run.pk)) == "Error in add: no"


@pytest.mark.django_db
@pytest.mark.parametrize("words", [["start", "noops"], ["watch", str(uuid4())]])
def test_a_database_without_tables_is_a_sentence(words: list[str]) -> None:
    def refuse(*_: Any) -> None:
        raise OperationalError("no such table: parent_run")

    with connection.execute_wrapper(refuse):
        told = refusal(*words)

    assert told.startswith("The database refuses: no such table: parent_run.")
    assert "has `manage.py migrate` been run?" in told


@pytest.mark.django_db(transaction=True)
def test_watching_outlasts_a_database_that_is_away_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = workflows.noops.start()
    # Three statements read the first snapshot, the next one ends the run; then the database fails.
    answers = iter([None, None, None, None, OperationalError("the server is restarting")])

    def away_for_a_moment(execute: Any, *args: Any) -> Any:
        trouble = next(answers, None)
        if trouble is not None:
            raise trouble
        return execute(*args)

    def end(_: float) -> None:
        Run.objects.update(state=RunState.SUCCESS, finished_at=NOW, result=5)

    monkeypatch.setattr("time.sleep", end)
    with connection.execute_wrapper(away_for_a_moment):
        assert workflow("watch", str(run.pk)) == "5\n"
    assert list(answers) == []


@pytest.mark.django_db
def test_a_run_that_is_deleted_while_it_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = workflows.noops.start()
    monkeypatch.setattr("time.sleep", lambda _: Run.objects.all().delete())

    assert "or the run was deleted" in refusal("watch", str(run.pk))


def ended(state: RunState, **columns: Any) -> Run:
    run = workflows.noops.start()
    Run.objects.filter(pk=run.pk).update(state=state, finished_at=NOW, completion=100, **columns)
    return run
