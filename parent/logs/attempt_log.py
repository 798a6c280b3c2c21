"""The log of one attempt, in the process that runs it: taken from its body, stored in batches."""

import logging
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from celery.utils.log import get_logger
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from children.reporting.log_buffer import Batch, LogBuffer
from parent.conf import log_hides, log_level, setting
from parent.definition.parameters.secrets import secrets_of, workflow_has_secrets
from parent.logs.hiding import hide
from parent.models import Item, LogChunk, Run, Step
from parent.store.outage import OUTAGE

__all__ = ["AttemptLog"]

logger = get_logger(__name__)

STORE_INTERVAL = 0.5
"""Seconds from the first line that is not stored until it is, if no report comes before."""
MOST_KEPT = 4
"""Batches that wait in memory while the database is away."""


class AttemptLog:
    """What the body of an attempt logs.

    Args:
        store_later: asks for a call of `store` in so many seconds; None if nobody will see the
            log before its end.
    """

    def __init__(
        self,
        task_id: str,
        model: type[Step | Item],
        workflow: str,
        store_later: Callable[[float], None] | None,
    ) -> None:
        self._task_id, self._model, self._workflow = task_id, model, workflow
        self._batches: deque[Batch] = deque(maxlen=MOST_KEPT)
        self._secrets: Collection[str] | None = None
        lines, size = setting("LOG_LINES"), setting("LOG_BYTES")
        self.buffer = None
        if lines:
            self.buffer = LogBuffer(
                most_lines=max(2, int(lines)),
                most_bytes=int(size or 2**62),
                level=logging.getLevelNamesMapping().get(log_level(), logging.INFO),
                # A body may log and then be quiet for an hour: nothing else would store the line.
                wake=store_later and partial(store_later, STORE_INTERVAL),
            )

    def store(self) -> None:
        """Store what was logged. Call it on the thread that makes the attempt's statements.

        A log is never a reason to fail: if the database is away, the lines wait for the next time.
        """
        if self.buffer is None:
            return
        batch = self.buffer.take()
        if batch is not None:
            self._batches.append(batch)
        while self._batches:
            try:
                self._write(self._batches[0])
            except OUTAGE as exc:
                if connection.in_atomic_block:
                    raise
                logger.warning("%s: log not stored yet: %s", self._task_id, exc)
                connection.close()
                return
            except IntegrityError:
                pass  # the run has just been deleted
            except Exception:
                logger.exception("%s: lines of its log cannot be stored", self._task_id)
            self._batches.popleft()

    def _write(self, batch: Batch) -> None:
        with transaction.atomic():
            step = self._step()
            if step is None:
                return  # the run was deleted, or another attempt has begun
            chunks = LogChunk.objects.filter(task_id=self._task_id)
            if batch.stale is not None:
                begin, end = batch.stale
                chunks.filter(first__gte=begin, first__lt=end).delete()
            secrets, patterns = self._hidden(step["run_id"]), log_hides()
            parts = [
                LogChunk(
                    step_id=step["step_id"],
                    item=step.get("key", ""),
                    attempt=step["attempt"],
                    task_id=self._task_id,
                    first=part[0].number,
                    lines=[[*line[:-1], hide(line.text, patterns, secrets)] for line in part],
                )
                for part in batch.parts
            ]
            # After an error the first try may have been committed nevertheless.
            LogChunk.objects.bulk_create(parts, ignore_conflicts=True)

    def _step(self) -> dict[str, Any] | None:
        rows: QuerySet[Any] = self._model._default_manager.filter(task_id=self._task_id)
        if self._model is Item:
            found = rows.values("step_id", "attempt", "key", "step__run_id").first()
            return found and {**found, "run_id": found["step__run_id"]}
        found = rows.values("pk", "attempt", "run_id").first()
        return found and {**found, "step_id": found["pk"]}

    def _hidden(self, run_id: Any) -> Collection[str]:
        """The run's secret parameters, which are read once, if there can be any."""
        if self._secrets is None:
            self._secrets = set()
            if workflow_has_secrets(self._workflow):
                run = Run.objects.only("workflow", "params").get(pk=run_id)
                self._secrets = secrets_of(run)
        return self._secrets
