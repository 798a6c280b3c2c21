"""The run of a child as its body sees it: `progress.run`. It reads only what is asked for."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property, partial
from logging import Logger, LoggerAdapter, getLogger
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import OuterRef, Subquery

from children.errors import AttemptLost
from children.host import Call
from children.isolation.connections import in_transaction
from parent.errors import SignalInTransaction
from parent.models import Awaits, ReceivedSignal, Run, Step
from parent.runs.signals.give import close, give

__all__ = ["RunContext"]


class RunContext:
    """Implements `children.host.RunContext`.

    Args:
        header: the attempt's part of the message's headers.
        call: calls a function in the task's thread.
        ask: calls a function that makes statements, and returns its result. The first argument
            says what the function does, for the log.
        still_counts: returns whether the attempt still counts; called where the run is locked.
        shares_transaction: body and engine are in one transaction, because the child runs inline.
    """

    def __init__(
        self,
        header: Mapping[str, Any],
        *,
        call: Call,
        ask: Callable[[str, Callable[[], Any]], Any],
        still_counts: Callable[[], bool],
        shares_transaction: bool,
    ) -> None:
        self.id, self.workflow = str(header["run"]), str(header["workflow"])
        self.step, self.attempt = str(header["step"]), int(header["attempt"])
        self._call, self._ask, self._still_counts = call, ask, still_counts
        self._shares_transaction = shares_transaction

    @cached_property
    def logger(self) -> "LoggerAdapter[Logger]":
        about: dict[str, object] = {"run": self.id, "workflow": self.workflow}
        about |= {"step": self.step, "attempt": self.attempt}
        return _Adapter(getLogger(f"workflow.{self.workflow}"), about)

    @cached_property
    def params(self) -> Mapping[str, Any]:
        params: Mapping[str, Any] = self._call(
            partial(self._ask, "read the parameters", self._read_params)
        )
        return params

    def _read_params(self) -> Mapping[str, Any]:
        rows = Run.objects.filter(pk=self.id).values_list("params", flat=True)
        params: Mapping[str, Any] | None = rows.first()
        if params is None:
            raise self._deleted()
        return params

    def _deleted(self) -> AttemptLost:
        return AttemptLost(f"The run {self.id} was deleted. Let this exception end the body.")

    @cached_property
    def scheduled_at(self) -> datetime | None:
        at: datetime | None = self._call(
            partial(self._ask, "read the time of the schedule", self._read_scheduled_at)
        )
        return at

    def _read_scheduled_at(self) -> datetime | None:
        run_id: UUID | None = UUID(self.id)
        while run_id is not None:
            runs = Run.objects.filter(pk=run_id)
            found = runs.values_list("parent_run", "firings__nominal_at").first()
            if found is None:
                raise self._deleted()
            run_id, at = found
            if at is not None:
                return at
        return None

    def signals(self) -> dict[str, Any]:
        """See `children.host.RunContext`."""
        found: dict[str, Any] = self._call(
            partial(self._ask, "read the signals", self._read_signals)
        )
        return found

    def _read_signals(self) -> dict[str, Any]:
        steps = Step.objects.filter(run=OuterRef("run"), name=OuterRef("name"))
        came = ReceivedSignal.objects.filter(run_id=UUID(self.id)).order_by("pk")
        rows = came.annotate(awaits=Subquery(steps.values("awaits")[:1]))
        found: dict[str, Any] = {}
        for row in rows:
            if row.key:
                found.setdefault(row.name, []).append(row.values)
            elif row.awaits == Awaits.APPROVAL:
                found[row.name] = {**row.values, "who": row.who}
            else:
                found[row.name] = row.values
        return found

    def signal(self, name: str, /, **values: Any) -> None:
        """See `children.host.RunContext`."""
        self.signal_with(name, values)

    def signal_with(self, name: str, values: Mapping[str, Any], *, key: str | None = None) -> None:
        """See `children.host.RunContext`."""
        self._call(partial(self._give, name, values, key))

    def close(self, name: str) -> None:
        """See `children.host.RunContext`."""
        self._call(partial(self._close, name))

    def _close(self, name: str) -> None:
        self._require_no_transaction(name, "closed", f"close({name!r})")
        who = f"step {self.step}"
        work = partial(close, self.id, name, who=who, still_counts=self._still_counts)
        self._ask(f"close the signal {name}", work)

    def _require_no_transaction(self, name: str, done: str, call: str) -> None:
        if not self._shares_transaction and in_transaction(connections[DEFAULT_DB_ALIAS]):
            raise SignalInTransaction(
                f"{name} was {done} inside a transaction, and would stay so if that is rolled "
                f"back. Do it after the transaction: transaction.on_commit(lambda: "
                f"progress.run.{call})."
            )

    def _give(self, name: str, values: Mapping[str, Any], key: str | None) -> None:
        self._require_no_transaction(name, "given", f"signal({name!r}, ...)")
        work = partial(
            give,
            self.id,
            name,
            values,
            key=key,
            who=f"step {self.step}",
            still_counts=self._still_counts,
        )
        self._ask(f"give the signal {name}", work)


class _Adapter(LoggerAdapter[Logger]):
    """Adds run, workflow, step and attempt to the `extra` of each call."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}
