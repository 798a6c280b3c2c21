"""`manage.py workflow signal`: gives a signal, decides an approval, closes a signal."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from parent.models import Event, ReceivedSignal, Run
from parent.runs.start import start
from tests.flows import workflows

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    return start(workflows.signalled, {})


def signal(run: Run, *words: str) -> str:
    stdout = StringIO()
    call_command("workflow", "signal", str(run.pk), *words, stdout=stdout, stderr=StringIO())
    return stdout.getvalue()


def test_it_gives_a_signal_and_prints_what_counts(run: Run) -> None:
    assert json.loads(signal(run, "numbers", "a=3", "--as", "ann")) == {"a": 3}
    assert json.loads(signal(run, "numbers", "a=3")) == {"a": 3}

    came = ReceivedSignal.objects.get(run=run)
    assert (came.values, came.who) == ({"a": 3}, "ann")


def test_it_closes_a_signal(run: Run) -> None:
    assert "numbers is closed" in signal(run, "numbers", "--close")

    assert run.steps.get(name="numbers").state == "SKIPPED"
    assert Event.objects.get(run=run).what == "close"


REFUSED = [
    (["numbers"], "a: This field is required"),
    (["numbers", "a=x"], "a: A valid integer"),
    (["numbers", "a=1", "b=2"], "numbers takes no such value"),
    (["numbers", "a"], "write key=value"),
    (["number", "a=1"], "it takes: numbers"),
    (["numbers", "a=1", "--close"], "leave them out"),
    (["number", "--close"], "it takes: numbers"),
]


@pytest.mark.parametrize(("words", "why"), REFUSED)
def test_it_refuses_and_says_why(run: Run, words: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        signal(run, *words)

    assert not ReceivedSignal.objects.exists()


def test_other_values_are_refused(run: Run) -> None:
    signal(run, "numbers", "a=3")

    with pytest.raises(CommandError, match="The first one counts"):
        signal(run, "numbers", "a=4")
