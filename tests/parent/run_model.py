"""A model of a run: a few lines without rows, clocks or messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ModelRun", "ModelStep"]

ACTIVE = ("QUEUED", "RUNNING")


@dataclass
class ModelStep:
    """A step; `attempt` counts all attempts, `retries_used` those that used up a retry."""

    after: tuple[str, ...]
    retries: int
    when: Literal["ok", "failed", "always"] = "ok"
    optional: bool = False
    unneeded: bool = False
    state: str = "WAITING"
    attempt: int = 0
    retries_used: int = 0
    checkpoint: object = None

    @property
    def over(self) -> bool:
        return self.state not in (*ACTIVE, "WAITING")

    @property
    def stops(self) -> bool:
        """Whether what comes after it, and needs it, is skipped."""
        if self.state == "ERROR":
            return not self.optional
        return self.state == "CANCELLED" or (self.state == "SKIPPED" and not self.unneeded)


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
        if not all(step.over for step in self.steps.values()):
            return
        failed = self.named("ERROR", "CANCELLED")
        if self.cancelled and any(s.state == "CANCELLED" or not s.optional for s in failed):
            self.ended = "REVOKED"
        elif not all(step.optional for step in failed):
            self.ended = "FAILURE"
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
        kept = [n for n, s in self.steps.items() if s.state == "ERROR" and s.optional]
        failed = [n for n, step in self.steps.items() if step.state in ("ERROR", "CANCELLED")]
        chosen = [n for n in failed if n not in kept] + ([] if name is None else [name])
        names = self._with_dependents(chosen)
        names |= {n for n, step in self.steps.items() if step.state != "OK" and n not in kept}
        for n in names:
            step = self.steps[n]
            if step.state == "OK" or names & {*step.after} or (skip and n == name):
                step.checkpoint = None
        for n in names:
            self.steps[n].state, self.steps[n].retries_used = "WAITING", 0
            self.steps[n].unneeded = False
        if skip and name is not None:
            self.steps[name].state = "OK"
        self.ended, self.cancelled = None, False
        self.settle()
        return names

    def named(self, *states: str) -> list[ModelStep]:
        return [step for step in self.steps.values() if step.state in states]

    def _skip_one(self) -> bool:
        for step in self.named("WAITING"):
            before = [self.steps[name] for name in step.after]
            if step.when == "ok" and any(other.stops for other in before):
                step.state = "SKIPPED"
                return True
            if all(other.over for other in before) and not self._may_open(step):
                step.state, step.unneeded = "SKIPPED", True
                return True
        return False

    def _open_one(self) -> bool:
        for step in self.named("WAITING") if self.known else ():
            before = [self.steps[name] for name in step.after]
            if all(other.over for other in before) and self._may_open(step):
                self._queue(step)
                return True
        return False

    def _may_open(self, step: ModelStep) -> bool:
        """Whether a step opens after all those before it, which have ended."""
        before = [self.steps[name] for name in step.after]
        match step.when:
            case "always":
                return True
            case "failed":
                return any(other.stops or other.state == "ERROR" for other in before)
        return not any(other.stops or other.unneeded for other in before)

    def _queue(self, step: ModelStep) -> None:
        step.state = "QUEUED"
        step.attempt += 1

    def _with_dependents(self, names: Iterable[str]) -> set[str]:
        found = set(names)
        while more := {n for n, s in self.steps.items() if n not in found and found & {*s.after}}:
            found |= more
        return found
