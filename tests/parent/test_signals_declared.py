"""Signals and approvals that cannot work are found by a check; and when a signal is waited for."""

from collections.abc import Sequence
from typing import Any

import pytest
from rest_framework import serializers

from parent import Approval, Map, Signal, Step, Workflow
from parent.checks import check_workflows
from parent.decisions.openings import Ended, Skip, decide
from parent.errors import InvalidWorkflow
from parent.runs.start import start
from tests.flows import tasks

pytestmark = pytest.mark.usefixtures("own_registry")


class Prices(serializers.Serializer[Any]):
    price = serializers.IntegerField()


class WithFile(serializers.Serializer[Any]):
    upload = serializers.FileField()


class WithFiles(serializers.Serializer[Any]):
    uploads = serializers.ListField(child=serializers.FileField())


class Deciding(serializers.Serializer[Any]):
    decision = serializers.CharField()


def child(name: str, **options: Any) -> Step:
    return Step(tasks.noop, name=name, inputs=lambda _: {}, **options)


A = child("a", after=())
AFTER_S = child("b", after=["s"])

Steps = Sequence[Step]
BAD: dict[str, tuple[Steps, Steps, str, str]] = {
    "signal among steps": ([A, Signal("s")], [], "E021", "is among the steps"),
    "approval among signals": ([A], [Approval("s")], "E021", "is among the signals"),
    "step among signals": ([A], [child("s")], "E021", "is among the signals"),
    "no name": ([A], [Signal()], "E003", "a signal has the name ''"),
    "same name": ([A], [Signal("a")], "E003", "two steps are named 'a'"),
    "unknown in after": ([A, AFTER_S], [], "E003", "comes after 's', which is not a step"),
    "timeout 0": ([AFTER_S], [Signal("s", timeout=0)], "E021", "has timeout=0"),
    "timeout below 0": ([AFTER_S], [Signal("s", timeout=-1)], "E021", "has timeout=-1"),
    "timeout nan": ([AFTER_S], [Signal("s", timeout=float("nan"))], "E021", "has timeout=nan"),
    "timeout text": ([AFTER_S], [Signal("s", timeout="9")], "E003", "has timeout of"),  # type: ignore[arg-type]
    "timeout for nobody": ([A], [Signal("s", timeout=9)], "E021", "no step comes after it"),
    "on_timeout": ([AFTER_S], [Signal("s", timeout=9, on_timeout="stop")], "E021", "on_timeout"),  # type: ignore[arg-type]
    "skip without timeout": ([AFTER_S], [Signal("s", on_timeout="skip")], "E021", "no timeout"),
    "after of a signal": ([A, AFTER_S], [Signal("s", after=["a"])], "E021", "has after="),
    "optional signal": ([AFTER_S], [Signal("s", optional=True)], "E021", "has optional=True"),
    "retries of an approval": ([A, Approval("s", retries=2)], [], "E021", "has retries=2"),
    "queue of an approval": ([A, Approval("s", queue="q")], [], "E021", "has queue='q'"),
    "run_timeout": ([A, Approval("s", run_timeout=9)], [], "E021", "has run_timeout=9"),
    "permission": ([AFTER_S], [Signal("s", permission="prices")], "E022", "name of a permission"),
    "permission of an approval": ([Approval("s", permission="a.b.c")], [], "E022", "permission"),
    "no serializer": ([AFTER_S], [Signal("s", params=dict)], "E003", "has params of"),  # type: ignore[arg-type]
    "an instance": ([AFTER_S], [Signal("s", params=Prices())], "E003", "has params of"),  # type: ignore[arg-type]
    "no form": ([Approval("s", form=str)], [], "E003", "has form of"),  # type: ignore[arg-type]
    "a file": ([AFTER_S], [Signal("s", params=WithFile)], "E023", "takes the file 'upload'"),
    "files": ([Approval("s", form=WithFiles)], [], "E023", "takes the file 'uploads'"),
    "form with decision": ([Approval("s", form=Deciding)], [], "E023", "the field 'decision'"),
    "unless as text": ([A, child("b", unless="a")], [], "E021", "a text"),
    "unless unknown": (
        [A, child("b", unless=["x"])],
        [],
        "E021",
        "not a step or signal of this workflow",
    ),
    "unless itself": ([A, child("b", unless=["b"])], [], "E021", "has itself"),
    "unless and after": ([A, child("b", unless=["a"])], [], "E021", "would never run"),
    "two maps": (
        [Map(tasks.noop, name=name, over=Signal("s")) for name in ("m", "n")],
        [],
        "E021",
        "2 steps are a Map over the signal 's'",
    ),
    "map over a class": (
        [Map(tasks.noop, name="m", over=Signal)],  # type: ignore[arg-type]
        [],
        "E003",
        "has over=<class",
    ),
    "map over a step": ([Map(tasks.noop, name="m", over=A)], [], "E003", "has over=Step"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_check_says_what_is_wrong(case: tuple[Steps, Steps, str, str]) -> None:
    steps, signals, number, text = case
    Workflow("bad", steps=steps, signals=signals)

    found = [(each.id, each.msg) for each in check_workflows()]

    assert any(id == f"workflows.{number}" and text in msg for id, msg in found), found
    assert all(each.hint for each in check_workflows())


def test_a_start_refuses_what_the_check_refuses() -> None:
    flow = Workflow("bad", steps=[A, child("b", unless=["x"])])

    with pytest.raises(InvalidWorkflow, match="not a step or signal of this workflow"):
        start(flow, {})


def test_good_ones_have_no_problems() -> None:
    Workflow(
        "good",
        steps=[
            A,
            child("b", after=["a", "s"], unless=["t"]),
            Approval("release", form=Prices, timeout=60, on_timeout="skip", permission="shop.do"),
            child("c"),
        ],
        signals=[Signal("s", params=Prices, timeout=60), Signal("t", title="Another")],
    )

    assert check_workflows() == []


WAITED: dict[str, tuple[Steps, Sequence[str]]] = {
    "nothing else": ([child("b", after=["s"])], ()),
    "one other": ([A, child("b", after=["a", "s"])], ("a",)),
    "signals do not wait for each other": ([A, child("b", after=["a", "s", "t"])], ("a",)),
    "what two have in common": (
        [A, child("x", after=()), child("b", after=["a", "x", "s"]), child("c", after=["s", "a"])],
        ("a",),
    ),
    "nobody": ([A], ()),
    "an unless": ([A, child("b", after=["a", "s"]), child("c", unless=["s"])], ()),
}


@pytest.mark.parametrize(("steps", "after"), WAITED.values(), ids=WAITED)
def test_what_a_signal_waits_for(steps: Steps, after: Sequence[str]) -> None:
    signal = Signal("s")

    flow = Workflow("waited", steps=steps, signals=[signal, Signal("t")])

    assert flow.after(signal) == after


@pytest.mark.parametrize("when", ["ok", "failed", "always"])
@pytest.mark.parametrize("before", [{}, {"a": None}, {"a": Ended.OK}, {"a": Ended.FAILED}])
def test_what_is_in_unless_skips_whatever_else_there_is(
    when: str, before: dict[str, Ended | None]
) -> None:
    skip = Skip(Ended.UNNEEDED, "u was there first")

    assert decide(when, before, {"u": Ended.OK}) == skip
    for how in (None, *set(Ended) - {Ended.OK}):
        assert decide(when, before, {"u": how}) == decide(when, before)
