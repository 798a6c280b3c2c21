"""`manage.py workflow cancel`, `retry` and `prune`: what they change, and what they refuse."""

import getpass
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from parent.inline import run_inline
from parent.models import Event, Item, Run, Step
from parent.runs.cancel import cancel
from tests.flows import workflows
from tests.monitor.runs import claimed, fail, finish, states, step

pytestmark = pytest.mark.django_db


def workflow(*words: str) -> str:
    """What the command prints to stdout."""
    stdout = StringIO()
    call_command("workflow", *words, stdout=stdout, stderr=StringIO())
    return stdout.getvalue()


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as refused:
        workflow(*words)
    return str(refused.value)


@pytest.fixture
def failed() -> Run:
    """A run of `sums`: its first step gave 6, and its second has failed."""
    run = workflows.sums.start(a=5)
    finish(run, "one", 6)
    fail(run, "two")
    return run


def test_cancel_says_that_a_run_is_cancelled() -> None:
    run = workflows.noops.start()

    assert workflow("cancel", str(run.pk)) == "The run is REVOKED.\n"
    assert states(run) == ["CANCELLED"] * 3


def test_cancel_says_that_a_running_child_ends_first() -> None:
    run = workflows.noops.start()
    claimed(run, "first")

    told = workflow("cancel", str(run.pk))

    assert told.startswith("The run is being cancelled: it ends when its running children do.")
    assert f"manage.py workflow watch {run.pk}" in told


def test_the_history_names_the_user_of_the_machine_or_who_was_named(failed: Run) -> None:
    workflow("retry", str(failed.pk), "--as", "Ann of the night shift")
    workflow("cancel", str(failed.pk))

    assert list(Event.objects.values_list("what", "who")) == [
        ("retry", "Ann of the night shift"),
        ("cancel", getpass.getuser()),
    ]


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    run = workflows.noops.start()

    workflow("cancel", str(run.pk))

    assert Event.objects.get().who == "uid 12345"


def test_retry_runs_what_failed_again_and_prints_the_id(failed: Run) -> None:
    assert workflow("retry", str(failed.pk)) == f"{failed.pk}\n"

    assert states(failed) == ["OK", "QUEUED", "WAITING"]
    assert step(failed, "one").result == 6


def test_retry_from_a_step_with_inputs(failed: Run) -> None:
    workflow("retry", str(failed.pk), "--from", "one", "--inputs", '{"a": 1, "b": 2}')

    assert states(failed) == ["QUEUED", "WAITING", "WAITING"]
    assert step(failed, "one").kwargs == {"a": 1, "b": 2}


def test_skip_goes_on_with_the_given_result(failed: Run) -> None:
    workflow("retry", str(failed.pk), "--skip", "two", "--result", "50")

    assert states(failed) == ["OK", "OK", "QUEUED"]
    assert step(failed, "three").kwargs == {"a": 50}
    assert Event.objects.get().detail == {"from": ["two"], "skip": True, "result": 50}


def test_retry_of_one_item() -> None:
    run = run_inline(workflows.doubled, count=3, broken=[1, 2])

    told = workflow("retry", str(run.pk), "--from", "double", "--item", "no 1")

    assert told == f"{run.pk}\n"
    items = Item.objects.filter(step__run=run).order_by("index").values_list("state", flat=True)
    assert list(items) == ["OK", "QUEUED", "SKIPPED"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--item", "no 1"], "--item needs its step: add --from STEP."),
        (["--skip", "double", "--item", "no 1"], "--item needs its step: add --from STEP."),
        (["--from", "double", "--item", "no 7"], "double has no item with the key 'no 7'."),
    ],
)
def test_what_is_no_item_is_refused(words: list[str], says: str) -> None:
    run = run_inline(workflows.doubled, count=2, broken=[1])

    assert refusal("retry", str(run.pk), *words) == says


def test_retry_can_be_watched_to_its_end() -> None:
    run = workflows.renamed.start()
    fail(run, "shipping")

    told = workflow("retry", str(run.pk), "--skip", "shipping", "--result", '"sent"', "--watch")

    assert told == '"sent"\n'


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "four"], "The run has no step 'four'; its steps are: one, two, three."),
        (["--inputs", "{a"], "'{a' is not JSON"),
        (["--inputs", "[1]"], "'[1]' is not a JSON object: name each input"),
        (["--inputs", '{"a": NaN}'], "is not JSON (NaN is not JSON)"),
        (["--result", "5"], "--result is for a step that is skipped: add --skip STEP."),
        (["--skip", "two", "--inputs", "{}"], "A step that is skipped takes no inputs"),
        (["--skip", "two", "--from", "one"], "not allowed with argument"),
        (["--as", ""], "a name has 1 to 150 printable characters."),
        (["--as", "x" * 151], "a name has 1 to 150 printable characters."),
    ],
)
def test_retry_refuses_and_says_what_to_do(failed: Run, words: list[str], told: str) -> None:
    assert told in refusal("retry", str(failed.pk), *words)
    assert states(failed) == ["OK", "ERROR", "SKIPPED"]
    assert not Event.objects.exists()


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_an_id_that_nobody_has_is_refused(action: str) -> None:
    run_id = str(uuid4())

    assert refusal(action, run_id) == f"There is no run {run_id}."
    assert "'12' is not a run id" in refusal(action, "12")


def test_what_has_ended_is_not_cancelled_and_what_runs_is_not_retried() -> None:
    run = workflows.noops.start()
    assert "Only a failed or cancelled run can be retried" in refusal("retry", str(run.pk))

    cancel(run.pk)

    assert refusal("cancel", str(run.pk)) == "The run has ended already: it is REVOKED."


def ended_before(days: float) -> Run:
    run = workflows.noops.start()
    cancel(run.pk)
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(days=days))
    return run


def test_prune_deletes_what_ended_before_the_retention() -> None:
    old = [ended_before(31), ended_before(40)]
    kept = {ended_before(29).pk, workflows.noops.start().pk}

    assert workflow("prune") == "2 runs deleted.\n"
    assert set(Run.objects.values_list("pk", flat=True)) == kept
    assert not Step.objects.filter(run__in=old).exists()


def test_prune_takes_an_age_of_its_own() -> None:
    ended_before(3)
    kept = ended_before(1)

    assert workflow("prune", "--older-than", "2.5") == "1 runs deleted.\n"
    assert Run.objects.get() == kept


def test_prune_needs_an_age_where_the_retention_is_off(settings: Any) -> None:
    settings.WORKFLOW_RETENTION = 0

    assert refusal("prune") == "WORKFLOW_RETENTION is off: give --older-than DAYS."


@pytest.mark.parametrize("days", ["-1", "soon", "nan", "1e9"])
def test_prune_refuses_an_age_that_is_none(days: str) -> None:
    ended_before(100)

    assert "is not a number of days from 0 to 36500" in refusal("prune", f"--older-than={days}")
    assert Run.objects.exists()
