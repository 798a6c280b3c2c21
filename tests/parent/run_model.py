"""A model of a run: a few lines without rows, clocks or messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["ModelRun", "ModelStep"]

ACTIVE = ("QUEUED", "RUNNING")
STOPPED = ("ERROR", "SKIPPED", "CANCELLED")


@dataclass
class ModelStep:
    """A step; `attempt` counts all attempts, `retries_used` those that used up a retry."""

    after: tuple[str, ...]
    retries: int
    state: str = "WAITING"
    attempt: int = 0
    retries_used: int = 0


@dataclass
class ModelRun:
    """A run; `known`: whether the active workers know its steps."""

    steps: Mapping[str, ModelStep]
    ended: str | None = None
    cancelled: bool = False
    known: bool = True

    def __post_init__(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Skip and open steps until nothing more follows; end the run if it is over."""
        while any([self._skip_one(), self._open_one()]):
            pass
        if any(step.state in (*ACTIVE, "WAITING") for step in self.steps.values()):
            return
        if not self._all("OK"):
            self.ended = "REVOKED" if self.cancelled else "FAILURE"
        elif self.known:
            self.ended = "SUCCESS"

    def fail(self, name: str, *, retry: bool, counts: bool = True) -> bool:
        """A running step fails; returns whether it is retried."""
        step = self.steps[name]
        left = step.retries - step.retries_used if counts else step.retries
        tried = retry and left > 0 and not self.cancelled
        if tried:
            step.retries_used += counts
            self._queue(step)
        else:
            step.state = "ERROR"
        self.settle()
        return tried

    def end(self, name: str, state: str) -> None:
        self.steps[name].state = state
        self.settle()

    def cancel(self) -> None:
        self.cancelled = True
        for step in self.steps.values():
            if step.state in ("WAITING", "QUEUED"):
                step.state = "CANCELLED"
        self.settle()

    def time_out(self) -> None:
        """The run's deadline passes."""
        waiting = [step for step in self.steps.values() if step.state == "WAITING"]
        for step in self.named(*ACTIVE) or waiting[:1]:
            step.state = "ERROR"
        for step in waiting:
            step.state = "SKIPPED" if step.state == "WAITING" else step.state
        self.ended = "REVOKED" if self.cancelled else "FAILURE"

    def retry(self, name: str | None, *, skip: bool) -> set[str]:
        """A user retries the run; returns the names of the steps that are reset."""
        failed = [n for n, step in self.steps.items() if step.state in ("ERROR", "CANCELLED")]
        names = self._with_dependents(failed if name is None else [name])
        names |= {n for n, step in self.steps.items() if step.state != "OK"}
        for n in names:
            self.steps[n].state, self.steps[n].retries_used = "WAITING", 0
        if skip and name is not None:
            self.steps[name].state = "OK"
        self.ended, self.cancelled = None, False
        self.settle()
        return names

    def named(self, *states: str) -> list[ModelStep]:
        return [step for step in self.steps.values() if step.state in states]

    def _all(self, state: str) -> bool:
        return all(step.state == state for step in self.steps.values())

    def _skip_one(self) -> bool:
        for step in self.named("WAITING"):
            if any(self.steps[name].state in STOPPED for name in step.after):
                step.state = "SKIPPED"
                return True
        return False

    def _open_one(self) -> bool:
        for step in self.named("WAITING") if self.known else ():
            if all(self.steps[name].state == "OK" for name in step.after):
                self._queue(step)
                return True
        return False

    def _queue(self, step: ModelStep) -> None:
        step.state = "QUEUED"
        step.attempt += 1

    def _with_dependents(self, names: Iterable[str]) -> set[str]:
        found = set(names)
        while more := {n for n, s in self.steps.items() if n not in found and found & {*s.after}}:
            found |= more
        return found
