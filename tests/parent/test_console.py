"""A run in a terminal: what its bars and its lines show."""

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from parent.management.console import bars, changes
from parent.management.snapshot import Snapshot
from parent.models import Run, RunState, Step, StepState

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def snapshot() -> Snapshot:
    """`func_1` reached 40 % after ten seconds; `func_2` waits."""
    began = NOW - timedelta(seconds=10)
    return Snapshot(
        run=Run(workflow="main_flow", state=RunState.PROGRESS, completion=20.0, started_at=began),
        steps=(
            Step(
                name="func_1",
                state=StepState.RUNNING,
                completion=40.0,
                iteration=4,
                total=10,
                message="Counting [primes]",
                started_at=began,
            ),
            Step(name="func_2"),
        ),
        now=NOW,
        has_worker=True,
    )


def later(snapshot: Snapshot, run: dict[str, Any], *steps: dict[str, Any]) -> Snapshot:
    """A copy of the snapshot with these columns changed."""

    def changed(row: Any, columns: dict[str, Any]) -> Any:
        row = copy(row)
        for name, value in columns.items():
            setattr(row, name, value)
        return row

    return replace(
        snapshot,
        run=changed(snapshot.run, run),
        steps=tuple(map(changed, snapshot.steps, [*steps, *[{}] * len(snapshot.steps)])),
        now=snapshot.now + timedelta(seconds=1),
    )


def test_the_first_lines_say_where_the_run_is(snapshot: Snapshot) -> None:
    assert changes(None, snapshot) == [
        " 20.0 %  main_flow PROGRESS, 0:00:40 left",
        " 20.0 %  func_1 RUNNING, 40.0 %, Counting [primes] (4 of 10), 0:00:15 left",
    ]


def test_nothing_new_is_no_line(snapshot: Snapshot) -> None:
    assert changes(snapshot, later(snapshot, {})) == []


def test_a_report_is_one_line(snapshot: Snapshot) -> None:
    after = later(snapshot, {"completion": 25.0}, {"completion": 50.0, "iteration": 5})

    assert changes(snapshot, after) == [
        " 25.0 %  func_1 RUNNING, 50.0 %, Counting [primes] (5 of 10), 0:00:11 left"
    ]


def test_a_mapped_step_says_how_many_items_are_in_which_state(snapshot: Snapshot) -> None:
    items = dict.fromkeys(("waiting", "queued", "running", "skipped", "cancelled"), 0)
    items |= {"total": 9_000, "ok": 1_200, "failed": 3, "running": 8}
    after = later(snapshot, {"completion": 25.0}, {"completion": 50.0, "items": items})

    assert changes(snapshot, after) == [
        " 25.0 %  func_1 RUNNING, 50.0 %, 1,200 of 9,000 items done, 8 running, 3 failed, "
        "0:00:11 left"
    ]


def test_the_steps_of_a_child_run_stand_under_their_own_step(snapshot: Snapshot) -> None:
    child, deeper = uuid4(), uuid4()
    nested = Step(
        name="publish", nested=True, state=StepState.RUNNING, completion=25.0, child_run_id=child
    )
    check = Step(name="check", nested=True, state=StepState.RUNNING, child_run_id=deeper)
    inner = {
        child: [Step(name="upload", state=StepState.OK, completion=100.0), check],
        deeper: [Step(name="upload", state=StepState.RUNNING, message="Reading")],
    }
    before = replace(snapshot, steps=(nested, Step(name="last")), inner=inner)
    after = replace(before, inner=inner | {deeper: [Step(name="upload", state=StepState.OK)]})

    assert changes(None, before)[1:] == [
        " 20.0 %  publish RUNNING, 25.0 %",
        " 20.0 %  publish/upload OK",
        " 20.0 %  publish/check RUNNING, 0.0 %",
        " 20.0 %  publish/check/upload RUNNING, 0.0 %, Reading",
    ]
    assert changes(before, after) == [" 20.0 %  publish/check/upload OK"]
    names = ["main_flow", "publish", "  upload", "  check", "    upload", "last"]
    for line, name in zip(drawn(before), names, strict=True):
        assert line.startswith(f"{name} ")


def test_the_run_has_the_last_word(snapshot: Snapshot) -> None:
    after = later(
        snapshot,
        {"state": RunState.FAILURE, "error": "Error in func_1: \x1b[2J\nno"},
        {"state": StepState.ERROR, "error": "Error in func_1: \x1b[2J\nno"},
        {"state": StepState.SKIPPED},
    )

    assert changes(snapshot, after) == [
        " 20.0 %  func_1 ERROR, Error in func_1: no",
        " 20.0 %  func_2 SKIPPED",
        " 20.0 %  main_flow FAILURE",
    ]


def test_that_nobody_is_there_is_said_once(snapshot: Snapshot) -> None:
    alone = replace(snapshot, has_worker=False)

    (notice,) = changes(snapshot, alone)

    assert notice == (
        "no worker is running: the run waits for one. Start one: LOCAL=on python manage.py worker"
    )
    assert changes(alone, alone) == []
    assert changes(alone, snapshot) == []


def drawn(snapshot: Snapshot, width: int = 120) -> list[str]:
    """The bars as drawn on a terminal of this width."""
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(bars(snapshot))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_there_is_a_bar_for_the_run_and_one_for_each_step(snapshot: Snapshot) -> None:
    run, func_1, func_2 = drawn(snapshot)

    assert run.split() == ["main_flow", "━" * 6, "20.0", "%", "PROGRESS", "0:00:40", "left"]
    assert func_1.split()[:5] == ["func_1", "━" * 12, "40.0", "%", "RUNNING"]
    assert "Counting [primes] (4 of 10)" in func_1
    assert func_1.endswith("0:00:15 left")
    assert func_2.split()[-3:] == ["0.0", "%", "WAITING"]


@pytest.mark.parametrize("width", [40, 80, 300])
def test_each_bar_stays_on_its_line(snapshot: Snapshot, width: int) -> None:
    long = later(snapshot, {}, {"message": "\x1b[2J" + "long " * 500})

    lines = drawn(long, width)

    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert not any("\x1b" in line for line in lines)


def test_the_bars_say_when_nobody_is_there(snapshot: Snapshot) -> None:
    alone = drawn(replace(snapshot, has_worker=False))

    assert alone[-1].startswith("no worker is running")
