"""The SQL statements and commits of one child, from its claim to its end.

Counted in this process, where nothing else runs. A child that follows is claimed by the end of the
child before it, so its own statements have no claim, and its end claims the next.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from time import monotonic

from django.db import connection
from django.test.utils import CaptureQueriesContext

from bench.environment import clear
from bench.figure import Figure
from bench.flows.workflows import three_that_report
from children import Meta, host
from parent.messages.publish import attempt_header, publishing_off
from parent.models import Step
from parent.worker.running_attempt import RunningAttempt

__all__ = ["figures"]

KINDS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def figures(*, quick: bool) -> Iterator[Figure]:  # noqa: ARG001 - it takes a moment
    with publishing_off():
        for name, delivery in (("with a message", None), ("that follows", a_delivery())):
            kinds, commits = counted(of_the_second_child(delivery))
            clear()
            yield Figure(
                name=f"statements of a child {name}",
                ours=", ".join(f"{count} {kind}" for kind, count in kinds.items()),
                other=f"{commits} commits",
                value=kinds.total(),
            )


def a_delivery() -> host.Delivery:
    return host.Delivery(
        id="message",
        taken_at=monotonic(),
        excluded=frozenset(),
        is_stopping=lambda: False,
        follower_seconds=lambda: 0.0,
    )


def of_the_second_child(delivery: host.Delivery | None) -> list[str]:
    """The statements of the second of three children. It reports once, after its first moment."""
    run = three_that_report.start()
    steps = Step.objects.filter(run=run).select_related("run")
    first = attempt_of(steps.get(index=0), delivery)
    first.claim()
    first.finish(Meta().ok(1.0))
    second = first.follower and first.follower.begin()
    waiting = attempt_of(steps.get(index=1), delivery)
    with CaptureQueriesContext(connection) as context:
        if second is None:
            waiting.claim()
        child = second or waiting
        child.report(Meta.at(1, 3))
        child.finish(Meta().ok(1.0))
    return [str(query["sql"]) for query in context.captured_queries]


def attempt_of(step: Step, delivery: host.Delivery | None) -> RunningAttempt:
    return RunningAttempt(str(step.task_id), attempt_header(step), delivery=delivery)


def counted(statements: Sequence[str]) -> tuple[Counter[str], int]:
    """How many there are of each kind, and how many transactions they were committed in."""
    kinds: Counter[str] = Counter()
    commits, begun = 0, False
    for statement in statements:
        kind = statement.lstrip("( ").split()[0].upper()
        if kind == "BEGIN":
            begun = True
        elif kind == "COMMIT":
            commits, begun = commits + 1, False
        elif kind in KINDS:
            kinds[kind] += 1
            commits += not begun
    return kinds, commits
