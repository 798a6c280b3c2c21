"""What runs tell of their steps, added up by the database: however many steps, it is one row."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from parent.decisions.plan import Summary
from parent.store import clock
from parent.store.prepared import database, fetch

__all__ = ["read_summaries"]

# The step that a run shows is the one of the lowest rank; see `parent.decisions.plan`. The rank
# tells its place, too: the last of those that are OK comes first among them.
PLACES = 1_000_000
RANK = f"""CASE state
    WHEN 'RUNNING' THEN "index"
    WHEN 'ERROR' THEN {PLACES} + "index"
    WHEN 'QUEUED' THEN {2 * PLACES} + "index"
    WHEN 'OK' THEN {4 * PLACES - 1} - "index"
    ELSE {4 * PLACES} + "index" END"""
PLACE = f"""CASE
    WHEN s.rank >= {3 * PLACES} AND s.rank < {4 * PLACES} THEN {4 * PLACES - 1} - s.rank
    ELSE s.rank % {PLACES} END""".replace("%", "%%")


@dataclass(slots=True)
class Shown:
    """What a run shows of one of its steps."""

    name: str
    state: str
    iteration: int
    total: int | None
    message: str
    error: str | None


def read_summaries(run_ids: Collection[UUID]) -> dict[UUID, Summary]:
    """The summaries of these runs as their rows are now, by the runs' ids. One statement."""
    return dict(_summary(*row) for row in fetch(_sql(database().vendor), [_list(run_ids)]))


def _summary(
    run_id: Any, weight: float, done: float, began: Any, moved: int, *shown: Any
) -> tuple[UUID, Summary]:
    summary = Summary(
        weight=weight,
        done=done,
        moved=bool(moved),
        began=began and clock.read(began),
        shown=Shown(*shown),
    )
    return UUID(str(run_id)), summary


def _list(run_ids: Collection[UUID]) -> Any:
    if database().vendor == "postgresql":
        return list(run_ids)
    return json.dumps([run_id.hex for run_id in run_ids])


@cache
def _sql(vendor: str) -> str:
    listed = "= ANY(%s)" if vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"
    return f"""
        SELECT s.run_id, s.weight, s.done, s.began, s.moved,
            p.name, p.state, p.iteration, p.total, p.message, p.error
        FROM (
            SELECT run_id, SUM(weight) AS weight, MIN(started_at) AS began,
                SUM(weight * CASE WHEN state = 'OK' THEN 100 ELSE completion END) AS done,
                MAX(CASE WHEN state = 'OK' OR reported_at IS NOT NULL THEN 1 ELSE 0 END) AS moved,
                MIN({RANK}) AS rank
            FROM parent_step WHERE run_id {listed} GROUP BY run_id
        ) AS s JOIN parent_step AS p ON p.run_id = s.run_id AND p."index" = {PLACE}
    """  # noqa: S608 - our names
