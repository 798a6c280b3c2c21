"""`manage.py workflow approve` and `reject`: decisions on the command line."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework import serializers

from parent import Approval, Map, Signal, Step, Workflow
from parent.models import Event, ReceivedSignal, Run
from parent.runs.start import start
from tests.flows import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


class Prices(serializers.Serializer[None]):
    price = serializers.IntegerField(min_value=1)


@pytest.fixture
def run(own_registry: None) -> Run:
    steps = [
        Approval("release", form=Prices),
        Step(tasks.noop, inputs=lambda _: {}),
        Map(tasks.noop, name="each", over=Signal("page"), after=()),
    ]
    return start(Workflow("decided", steps=steps), {})


def call(verb: str, run: Run | str, *words: str) -> str:
    stdout = StringIO()
    pk = run if isinstance(run, str) else str(run.pk)
    call_command("workflow", verb, pk, *words, stdout=stdout, stderr=StringIO())
    return stdout.getvalue()


def test_it_approves_with_a_comment_and_the_fields_of_the_form(run: Run) -> None:
    words = ("release", "price=3", "--comment", "fine", "--as", "ann")

    said = json.loads(call("approve", run, *words))

    assert said == {"decision": "approve", "comment": "fine", "values": {"price": 3}}
    assert json.loads(call("approve", run, *words)) == said
    release = run.steps.get(name="release")
    assert (release.state, release.message) == ("OK", "approved by ann: fine")
    assert Event.objects.get(run=run).what == "approve"


def test_it_rejects_without_the_fields_of_the_form(run: Run) -> None:
    call("reject", run, "release", "--comment", "too dear", "--as", "ann")

    run.refresh_from_db()
    assert "release was rejected by ann: too dear" in str(run.steps.get(name="release").error)
    with pytest.raises(CommandError, match="The first one counts"):
        call("approve", run, "release", "price=3")


REFUSED = [
    ("approve", ["release"], "price: This field is required"),
    ("approve", ["release", "price=0"], "price: Ensure"),
    ("approve", ["release", "price=1", "x=1"], "x: release takes no such value"),
    ("approve", ["release", "price=1", "--comment", "x" * 2001], "comment: Ensure"),
    ("approve", ["release", "price"], "write key=value"),
    ("approve", ["release", "price=1", "decision=reject"], "Leave decision= out"),
    ("reject", ["release", "comment=no"], "Leave comment= out"),
    ("approve", ["page"], "page is a signal, which nobody decides about"),
    ("reject", ["other"], "no signal or approval 'other'"),
]


@pytest.mark.parametrize(("verb", "words", "why"), REFUSED)
def test_it_refuses_and_says_why(run: Run, verb: str, words: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        call(verb, run, *words)

    assert not ReceivedSignal.objects.exists()


def test_a_run_that_there_is_not() -> None:
    with pytest.raises(CommandError, match="There is no run"):
        call("approve", "00000000-0000-0000-0000-000000000000", "release")


def test_a_signal_that_feeds_a_map_takes_a_key_and_is_closed(run: Run) -> None:
    for _ in range(2):
        call("signal", run, "page", "--key", "a")
    call("signal", run, "page")
    assert "page is closed" in call("signal", run, "page", "--close")

    keys = ReceivedSignal.objects.filter(run=run).order_by("pk").values_list("key", flat=True)
    assert list(keys) == ["a", "1"]
    with pytest.raises(CommandError, match="page is closed: nothing more is taken"):
        call("signal", run, "page")
    with pytest.raises(CommandError, match="leave them out"):
        call("signal", run, "page", "--close", "--key", "a")
