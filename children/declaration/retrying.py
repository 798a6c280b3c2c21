"""Which errors are retried, how often, and when."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LONGEST_DELAY", "MOST_RETRIES", "Retrying", "delay_after", "problems", "spread"]

LONGEST_DELAY = 86_400.0  # seconds; a doubling delay needs an upper limit
MOST_RETRIES = 100

IN_KWARGS = ("max_retries", "countdown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrying:
    """How failures are retried.

    `delay` is the wait before the first retry, in seconds. Each further wait is `backoff` times as
    long, up to `longest`. With `jitter` the wait is random, between 0 and that value.
    """

    retries: int = 0
    delay: float = 0.0
    backoff: float = 2.0
    on: tuple[type[BaseException], ...] = (Exception,)
    never: tuple[type[BaseException], ...] = ()
    longest: float = LONGEST_DELAY
    jitter: bool = False

    def takes(self, error: BaseException) -> bool:
        """Whether this error is retried, if a retry is left."""
        return isinstance(error, self.on) and not isinstance(error, self.never)

    def wait(self, done: int) -> float:
        """Seconds until the next attempt, after `done` retries."""
        return delay_after(done, self.delay, self.backoff, self.longest, jitter=self.jitter)

    @classmethod
    def of_options(cls, options: Mapping[str, Any]) -> "Retrying | None":
        """Read a task's options, with Celery's defaults. None if they do not mention retries."""
        if not options.get("autoretry_for") and "max_retries" not in options:
            return None
        kwargs = options.get("retry_kwargs") or {}
        grows = float(options.get("retry_backoff") or 0)
        delay = kwargs.get("countdown", options.get("default_retry_delay", 180.0))
        return cls(
            retries=kwargs.get("max_retries", options.get("max_retries", 3)),
            delay=float(int(max(1.0, grows))) if grows else float(delay),
            backoff=2.0 if grows else 1.0,
            on=_kinds(options.get("autoretry_for")),
            never=_kinds(options.get("dont_autoretry_for")),
            longest=float(options.get("retry_backoff_max", 600)) if grows else LONGEST_DELAY,
            jitter=bool(grows) and bool(options.get("retry_jitter", True)),
        )


def delay_after(
    done: int, first: float, backoff: float, longest: float, *, jitter: bool = False
) -> float:
    """Seconds until the next attempt, after `done` retries. `first`: those before the first one."""
    return spread(first * backoff**done, longest, jitter=jitter)


def spread(delay: float, longest: float = LONGEST_DELAY, *, jitter: bool = False) -> float:
    """Limit the delay to 0 up to `longest`; with `jitter`, return a random shorter one."""
    delay = min(max(delay, 0.0), longest)
    return random.uniform(0.0, delay) if jitter else delay  # noqa: S311 - not a secret


def _kinds(given: Any) -> tuple[type[BaseException], ...]:
    return (given,) if isinstance(given, type) else tuple(given or ())


def problems(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Retry options that a step cannot honour: each problem with its remedy."""
    others = sorted(set(options.get("retry_kwargs") or {}) - set(IN_KWARGS))
    if others:
        yield (
            f"its retry_kwargs have {', '.join(others)}",
            f"Keep only {' and '.join(IN_KWARGS)} there: the step decides about all other options.",
        )
    asked = Retrying.of_options(options)
    if asked is None:
        return
    if not isinstance(asked.retries, int) or not 0 <= asked.retries <= MOST_RETRIES:
        yield f"it has max_retries={asked.retries}", f"Give 0 to {MOST_RETRIES}."
    for kind in (*asked.on, *asked.never):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            yield (
                f"{kind!r} in its autoretry_for is not an exception",
                "Name classes of exceptions.",
            )
