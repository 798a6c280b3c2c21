"""Show a run in a terminal: as live bars, or as lines if stderr is not a terminal."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from children.sanitize import clean_text
from parent.decisions.eta import run_eta, step_eta
from parent.management.snapshot import Snapshot
from parent.models import Item, RunState, Step, StepState
from parent.operations.health import how_to_start

__all__ = ["Show", "bars", "changes", "live_bars", "plain_lines"]

Show = Callable[[Snapshot], None]

BAR_WIDTH = 30
STYLES: dict[str, str] = {
    RunState.SUCCESS: "green",
    StepState.OK: "green",
    RunState.FAILURE: "red",
    StepState.ERROR: "red",
    RunState.REVOKED: "yellow",
    StepState.CANCELLED: "yellow",
    StepState.SKIPPED: "dim",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What is shown of a run or a step. `left`, the time left, does not count as a change.

    `name` has the names of the steps around it too, such as `publish/upload`; `label` has their
    number as an indent.
    """

    name: str
    state: str
    completion: float
    text: str = ""
    label: str = ""
    left: str = field(default="", compare=False)


def _run_row(snapshot: Snapshot) -> Row:
    # No text: its message repeats a step's, and the command prints its error at the end.
    run = snapshot.run
    return Row(
        name=run.workflow,
        state=run.state,
        completion=run.completion,
        left="" if run.ended else _left(run_eta(snapshot.steps, snapshot.now)),
    )


def _step_rows(snapshot: Snapshot) -> list[Row]:
    return list(_rows_of(snapshot, snapshot.steps))


def _rows_of(
    snapshot: Snapshot, steps: Iterable[Step], above: str = "", depth: int = 0
) -> Iterator[Row]:
    """A row for each of these steps, and after a nested step those of its run.

    After a mapped step whose items are runs, the first that go on.
    """
    for step in steps:
        yield Row(
            name=above + step.name,
            state=step.state,
            completion=step.completion,
            text=clean_text(step.error or _items_text(step) or _progress_text(step)),
            left=_left(step_eta(step, snapshot.now)) if step.state in Step.ACTIVE else "",
            label="  " * depth + step.name,
        )
        if step.child_run_id is not None:
            inner = snapshot.inner.get(step.child_run_id, ())
            yield from _rows_of(snapshot, inner, f"{above}{step.name}/", depth + 1)
        for item in snapshot.items.get(step.pk, ()):
            yield from _item_rows(snapshot, item, above, depth + 1)


def _item_rows(snapshot: Snapshot, item: Item, above: str, depth: int) -> Iterator[Row]:
    """A row for this item, which is a run, and those of its run."""
    yield Row(
        name=above + item.name,
        state=item.state,
        completion=item.completion,
        text=clean_text(item.message),
        label="  " * depth + item.name,
    )
    if item.child_run_id is not None:
        steps = snapshot.inner.get(item.child_run_id, ())
        yield from _rows_of(snapshot, steps, f"{above}{item.name}/", depth + 1)


def _items_text(step: Step) -> str:
    """How many items of a mapped step are in which state: `12 of 90 done, 3 running, 1 failed`."""
    if step.items is None:
        return ""
    words = ("running", "queued", "failed", "skipped", "cancelled")
    others = [f"{step.items[word]:,} {word}" for word in words if step.items[word]]
    return ", ".join([f"{step.items['ok']:,} of {step.items['total']:,} items done", *others])


def _progress_text(step: Step) -> str:
    count = f"{step.iteration} of {step.total}" if step.total else ""
    return f"{step.message} ({count})" if step.message and count else step.message or count


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{timedelta(seconds=round(seconds))} left"


def _notice(snapshot: Snapshot) -> str:
    if snapshot.has_worker or snapshot.run.ended:
        return ""
    return f"no worker is running: the run waits for one. Start one: {how_to_start()}"


def bars(snapshot: Snapshot) -> Group:
    """The run's bar, a bar for each step, and a notice if no worker is running.

    The steps of a child run are indented under their own step.
    """
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=30)
    table.add_column(width=BAR_WIDTH, no_wrap=True)
    table.add_column(justify="right", width=len("100.0 %"), no_wrap=True)
    table.add_column(width=max(map(len, [*RunState, *StepState])), no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for row in (_run_row(snapshot), *_step_rows(snapshot)):
        style = STYLES.get(row.state, "cyan")
        table.add_row(
            Text(row.label or row.name),
            ProgressBar(
                completed=row.completion,
                width=BAR_WIDTH,
                complete_style=style,
                finished_style=style,
            ),
            f"{row.completion:.1f} %",
            Text(row.state, style=style),
            # Text does not interpret square brackets as markup.
            Text(row.text),
            row.left,
        )
    notice = _notice(snapshot)
    return Group(table, Text(notice, style="yellow")) if notice else Group(table)


@contextmanager
def live_bars(console: Console) -> Iterator[Show]:
    """Replace the shown snapshot by the next; the last one stays."""
    with Live(console=console, auto_refresh=False) as live:
        yield lambda snapshot: live.update(bars(snapshot), refresh=True)


def changes(before: Snapshot | None, after: Snapshot) -> list[str]:
    """A line for each step that changed, for a new state of the run, and for a notice."""
    known = {row.name: row for row in _step_rows(before)} if before else {}
    run = _run_row(after)
    rows = [
        row
        for row in _step_rows(after)
        if row.state != StepState.WAITING and row != known.get(row.name)
    ]
    if before is None or before.run.state != run.state:
        rows.insert(len(rows) if after.run.ended else 0, run)
    lines = [f"{run.completion:5.1f} %  {_line(row)}" for row in rows]
    notice = _notice(after)
    return [*lines, notice] if notice and not (before and _notice(before)) else lines


def _line(row: Row) -> str:
    percent = f"{row.completion:.1f} %" if row.state == StepState.RUNNING else ""
    return f"{row.name} {row.state}" + "".join(
        f", {part}" for part in (percent, row.text, row.left) if part
    )


def plain_lines(write: Callable[[str], object]) -> Show:
    """Write a line for each change."""
    before: Snapshot | None = None

    def show(snapshot: Snapshot) -> None:
        nonlocal before
        for line in changes(before, snapshot):
            write(line)
        before = snapshot

    return show
