"""On SQLite: who looks at steps and items again and again reads those that are active, by an index,
and not all that there ever were. PostgreSQL reads small tables whole.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from monitor.ops import metrics, workers
from parent import Map, Workflow
from parent.definition.workflow import registry
from parent.messages import publish
from parent.messages.publish import attempt_header
from parent.models import Executor, Item, Run, StepState
from parent.models import Step as StepRow
from parent.runs.following import hand_over
from parent.runs.items.chunks import places_left
from parent.runs.items.end_of_step import LEFT
from parent.runs.start import start
from parent.watch import republish
from parent.watch.tick import Ticker
from parent.worker.host import ParentHost
from parent.worker.revoke import _runs_of
from parent.worker.shutdown import hand_back
from tests.flows import tasks
from tests.parent.items import mapped

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="plans of SQLite"),
]

ALL_OF_A_STEP = "sqlite_autoindex_parent_item_1 (step_id=?)"
TABLE = re.compile(r'"?(parent_(?:item|step))"?(?: (?:AS )?([A-Z]\d|t|s|r)\b)?')


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, executor: Executor) -> Iterator[Run]:
    """A run of many items: some are over, one runs and has reported, one waits for its retry."""
    monkeypatch.setattr(publish, "_send", lambda *_, **__: True)
    monkeypatch.setattr(republish, "missing_messages", lambda expected: expected)
    items = [{"a": n, "b": 1} for n in range(40)]
    each = Map(tasks.divide, name="each", over=lambda _: items, retries=1)
    found = start(Workflow("planned", steps=[each]), {})
    step = mapped(found)
    rows = Item.objects.filter(step=step)
    rows.filter(index__lt=20).update(state=StepState.OK, due_at=None, finished_at=Now())
    rows.filter(index=39).update(state=StepState.WAITING, due_at=Now() - timedelta(days=1))
    item = rows.select_related("step__run").get(index=20)
    attempt = ParentHost().claim(str(item.task_id), attempt_header(item))
    assert attempt is not None
    rows.filter(index=20).update(executor=executor, unmirrored_since=Now(), due_at=Now())
    StepRow.objects.filter(pk=step.pk).update(due_at=Now())
    yield found
    registry._workflows.pop("planned", None)


def tick(executor: Executor, **changed: float) -> None:
    ticker = Ticker(executor.pk)
    ticker._sweep_at = ticker._strays_at = ticker._moved_at = float("inf")
    vars(ticker).update(changed)
    ticker._held, ticker._check_steps_from, ticker._enforce_leases_from = True, 0.0, 0.0
    while not ticker.tick():
        pass


def tick_after_a_loss(executor: Executor) -> None:
    Executor.objects.filter(pk=executor.pk).update(heartbeat_at=Now() - timedelta(days=1))
    tick(executor)


LOOKS: dict[str, Callable[[Executor, Run], object]] = {
    "a tick": lambda executor, _: tick(executor),
    "a sweep": lambda executor, _: tick(executor, _sweep_at=0.0),
    "a tick after a worker was lost": lambda executor, _: tick_after_a_loss(executor),
    "messages were lost": lambda *_: republish.Republisher().mark_due(),
    "the places of a step": lambda _, run: places_left(mapped(run)),
    "a worker stops": lambda executor, _: hand_back(executor.pk),
    "who waits for a first child": lambda *_: hand_over.look(0.0),
    "a revoke": lambda *_: _runs_of({"a-message"}),
    "the metrics": lambda *_: list(metrics._queues()),
    "the page of workers": lambda executor, _: workers._running([executor.pk]),
}


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_who_looks_reads_all_steps_or_items(look: str, executor: Executor, run: Run) -> None:
    plans: dict[str, str] = {}

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if TABLE.search(sql) and not sql.startswith(("EXPLAIN", LEFT)):  # see below
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plans[sql] = "\n".join(str(line[3]) for line in cursor.fetchall())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        LOOKS[look](executor, run)

    assert plans
    for sql, plan in plans.items():
        tables = {alias or table for table, alias in TABLE.findall(sql)}
        whole = set(re.findall(r"SCAN (\w+)(?! USING|\w)", plan))
        assert not whole & tables, (sql, plan)
        assert ALL_OF_A_STEP not in plan, (sql, plan)


def test_whether_any_item_is_left_is_seen_at_the_first() -> None:
    """The last third is asked at the end of the step, and while only delayed retries are left."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {LEFT}", [1, 1, 1])
        plan = [line[3] for line in cursor.fetchall() if "parent_item" in line[3]]

    assert "item_active" in plan[0]
    assert "item_waiting" in plan[1]
