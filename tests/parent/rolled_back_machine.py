"""A state machine whose rows are rolled back, with an executor that ticks."""

from contextlib import ExitStack
from typing import Any

import pytest
from django.db import transaction
from hypothesis.stateful import RuleBasedStateMachine

from parent.definition.workflow import registry
from parent.messages import publish
from parent.store import leases
from parent.watch.tick import Ticker
from parent.worker.running_attempt import RunningAttempt

__all__ = ["RolledBackMachine"]


class RolledBackMachine(RuleBasedStateMachine):
    """Its first rule calls `begin`."""

    def begin(self) -> pytest.MonkeyPatch:
        """Begin the transaction; what the answer patches is undone at its end."""
        self.undo = ExitStack()
        patched = self.undo.enter_context(pytest.MonkeyPatch.context())
        self.undo.enter_context(transaction.atomic())
        self.undo.callback(transaction.set_rollback, True)
        # In this transaction nothing commits, so what follows a commit is done at once.
        patched.setattr("django.db.transaction.on_commit", lambda call, **_: call())
        patched.setattr(publish, "_send", lambda *_, **__: True)
        patched.setattr(registry, "_workflows", dict(registry._workflows))
        self.undo.callback(setattr, leases, "_this", None)
        self.executor = leases.assign_executor_id()
        leases.renew_heartbeat(self.executor)
        self.ticker = Ticker(self.executor)
        while not self.ticker.tick():
            pass
        self.headers: dict[str, Any] = {}
        self.claimed: list[RunningAttempt] = []
        self.outcomes: dict[Any, tuple[Any, ...]] = {}
        return patched

    def to_the_end(self) -> None:
        """Whatever has happened, the run ends."""
        raise NotImplementedError

    def teardown(self) -> None:
        if not hasattr(self, "undo"):
            return
        try:
            if hasattr(self, "run_id"):
                self.to_the_end()
        finally:
            self.undo.close()
