"""Writing rows that were read and changed in memory."""

from collections.abc import Iterable, Sequence

from parent.models import Run, Step, StepState
from parent.store.bulk import update_rows

__all__ = ["Overtaken", "write", "write_if"]


class Overtaken(Exception):
    """A row is no longer as it was read. Roll back, and leave it to whoever changed it."""


def write(rows: Iterable[Run | Step], names: Sequence[str]) -> None:
    """Write these columns of the rows, which are all of one model, in one statement."""
    rows = list(rows)
    if rows:
        values = [{"id": row.pk} | {name: getattr(row, name) for name in names} for row in rows]
        update_rows(type(rows[0]), values, key="id")


def write_if(row: Step, names: Sequence[str], *, was: str) -> None:
    """Write these columns of the row, if its state in the database still is `was`.

    Raises:
        Overtaken: it is not.
    """
    values = {"id": row.pk} | {name: getattr(row, name) for name in names}
    if not update_rows(Step, [values], key="id", unless=f"t.state <> '{StepState(was).value}'"):
        raise Overtaken
