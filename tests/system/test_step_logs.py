"""The kept log of a child in real workers: while it runs, and of a flood only what may be kept."""

from collections.abc import Sequence

import pytest

from parent.logs.read import LogLine, read_log
from tests.flows import workflows
from tests.system.conftest import Gate, StartWorker
from tests.waiting import ended, until

POOLS = ("prefork", "threads", "solo")


@pytest.mark.parametrize("pool", POOLS)
def test_lines_are_there_while_the_child_waits(
    start_worker: StartWorker, gate: Gate, pool: str
) -> None:
    start_worker("-P", pool, "-c", "1")
    run = workflows.logging_flow.start(gate=gate.name)
    gate.reached()

    def both_lines() -> Sequence[LogLine] | None:
        lines = read_log(run).lines
        return lines if len(lines) == 2 else None

    found = until("the lines before the gate", both_lines)
    assert [(line.text, line.level_name, line.logger) for line in found] == [
        ("begun", "INFO", "shop"),
        ("printed", "INFO", "print"),
    ]
    gate.open()
    ended(run)

    assert [line.text for line in read_log(run).lines] == ["begun", "printed", "the gate is open"]


def test_two_children_in_one_process_have_each_its_own_log(start_worker: StartWorker) -> None:
    start_worker("-P", "threads", "-c", "2")
    gates = [Gate("first"), Gate("second")]
    runs = [workflows.logging_flow.start(gate=gate.name) for gate in gates]
    for gate in gates:
        gate.reached()
        gate.open()
    for run in runs:
        ended(run)

        assert [line.number for line in read_log(run).lines] == [1, 2, 3]


def test_of_a_flood_the_first_and_the_last_lines_are_kept(start_worker: StartWorker) -> None:
    start_worker("-P", "prefork", "-c", "1")
    run = ended(workflows.flooding.start(a=30_000))

    numbers = [line.number for line in read_log(run).lines]

    assert run.state == "SUCCESS"
    assert numbers[:500] == list(range(1, 501))
    assert numbers[500:] == list(range(30_001 - len(numbers[500:]), 30_001))
    assert 450 <= len(numbers[500:]) <= 500
