"""`ChildTask`: how a child runs, in a step or by itself."""

import inspect
import signal
import traceback
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, NoReturn

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_task_logger
from django.conf import settings

from children import host
from children.declaration.coroutine import CoroutineBody, in_event_loop
from children.declaration.retrying import Retrying
from children.declaration.signature import Problem
from children.errors import AttemptLost, ChildError, ChildExit, RetryAsked
from children.isolation.keep import run_isolated
from children.meta import Meta, error_text
from children.progress import Progress
from children.sanitize import storable

__all__ = ["ChildTask"]

logger = get_task_logger(__name__)

TAKEN_FOR_THE_WORKERS = (MemoryError, Terminated, TimeLimitExceeded, WorkerLostError)
"""Raised by a body, each would be taken for trouble of the worker's own, which a MemoryError stops
(celery 5.7, `Request.on_failure`).
"""

TERMINATED = -(256 - signal.SIGTERM)
"""What billiard's processes exit with (billiard 4.3, `common._shutdown_cleanup`)."""


class ChildTask(Task):  # type: ignore[type-arg]
    """A Celery task whose `run(progress, **kwargs)` reports uniform meta.

    Called directly it simply runs, and returns what `run` returns. In a worker its result is
    an outcome: the meta with status OK and `result`. An exception is an ERROR outcome
    `Error in <name>: <message>` and, for Celery, its signals and its tools, a FAILURE.
    """

    abstract = True
    # The claim and the first report say that it started; Celery's own STARTED would come from
    # outside the fence and overwrite them.
    track_started = False
    Request = "children.worker.request:ChildRequest"
    report_interval: ClassVar[float | None] = None

    # What `@child_task` found.
    retrying: ClassVar[Retrying | None] = None
    reserved: ClassVar[frozenset[str]] = frozenset()
    problems: ClassVar[tuple[Problem, ...]] = ()
    step_problems: ClassVar[tuple[Problem, ...]] = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        # Celery calls the task with a fresh request on the stack; a body that calls itself
        # finds that request in use.
        if request.called_directly or getattr(request, "child_entered", False):
            result = self.run(Progress(_nowhere), *args, **kwargs)
            # Inside a loop a coroutine is for the caller to await.
            return result if in_event_loop() else self._awaited(result)
        request.__dict__["child_entered"] = True
        attempt = self._claim()
        progress = Progress(attempt.report, interval=attempt.report_interval)
        try:
            outcome = self._body(progress, attempt, args, kwargs)
        except AttemptLost:
            logger.warning("%s[%s] ends: the attempt no longer counts", self.name, request.id)
            attempt.abandon()
            raise Ignore from None
        except (Ignore, Reject, Retry) as exc:
            self._refuse(exc, attempt, progress)
        except Exception as exc:
            error = f"Error in {attempt.name}: {error_text(exc)}"
            if attempt.finish(progress.meta.failed(error), storable(traceback.format_exc()), exc):
                if isinstance(exc, TAKEN_FOR_THE_WORKERS):
                    raise ChildError(error_text(exc)) from exc
                raise
            # Not a failure yet: for Celery's signals, and so for Sentry, only the last one is.
            logger.warning("%s[%s] will be tried again", self.name, request.id, exc_info=True)
            raise Ignore from None
        attempt.finish(outcome)
        return outcome.as_dict()

    def _body(self, progress: Progress, attempt: host.Attempt, args: Any, kwargs: Any) -> Meta:
        def body() -> Any:
            return self._awaited(self.run(progress, *args, **kwargs), progress)

        try:
            # What runs inline shares its caller's surroundings, and its transaction.
            result = body() if self.request.is_eager else run_isolated(body)
        except SystemExit as exc:
            # Exactly SystemExit: Celery's own shutdown requests are subclasses of it. And a pool
            # process that gets SIGTERM, at a time limit, exits by it; its worker ends the attempt.
            if type(exc) is not SystemExit or exc.code == TERMINATED:
                raise
            raise ChildExit(f"the body called sys.exit({exc.code!r})") from exc
        except AttemptLost as exc:
            if attempt.lost:
                raise
            raise ChildError("the body raised AttemptLost, which only a report may raise") from exc
        except Exception:
            raise
        except BaseException as exc:
            # `asyncio.CancelledError`, groups of such, the panics of other languages: no pool takes
            # one of these for a failure. Ctrl-C in a terminal is for whoever sits there.
            if isinstance(exc, KeyboardInterrupt) and self.request.is_eager:
                raise
            raise ChildError(error_text(exc)) from exc
        return progress.meta.ok(result)

    def _awaited(self, result: Any, progress: Progress | None = None) -> Any:
        """The result, or where it is a coroutine, what that comes to."""
        if not inspect.iscoroutine(result):
            return result
        # Celery keeps a task's request for its thread.
        body = CoroutineBody(result, begin=partial(self.request_stack.push, self.request))
        if progress is not None:
            progress.send_by(body.report)
        return body.run()

    def retry(self, *args: Any, **options: Any) -> Any:
        """Celery's `raise self.retry(exc=..., countdown=...)`; in a step, `progress.retry(...)`.

        Of a step only `exc`, `eta`, `countdown` and `throw` count: how often is the step's affair.
        """
        if host.engine() is None or host.HEADER not in (self.request.headers or {}):
            return super().retry(*args, **options)
        delay, exc = options.get("countdown"), options.get("exc")
        if delay is None and (eta := options.get("eta")) is not None:
            delay = (eta - datetime.now(eta.tzinfo and UTC)).total_seconds()
        asked = RetryAsked("it asked for a retry" if exc is None else error_text(exc), delay)
        if options.get("throw", True):
            raise asked from exc
        return asked

    def _claim(self) -> host.Attempt:
        request = self.request
        header = (request.headers or {}).get(host.HEADER)
        engine = host.engine()
        if header is None or engine is None:
            return PlainAttempt(self)
        attempt = engine.claim(
            str(request.id), str(self.name), header, inline=bool(request.is_eager)
        )
        if attempt is None:
            logger.info("%s[%s] dropped: a second delivery", self.name, request.id)
            raise Ignore
        return attempt

    def _refuse(self, exc: Exception, attempt: host.Attempt, progress: Progress) -> NoReturn:
        """Celery's own control flow ends the message, so in a step it would end it silently."""
        if not isinstance(attempt, PlainAttempt):
            error = ChildError(
                f"Error in {attempt.name}: a step cannot raise Celery's {type(exc).__name__}; "
                "raise an ordinary exception instead"
            )
            attempt.finish(progress.meta.failed(str(error)), storable(traceback.format_exc()))
            raise error from exc
        raise exc


class PlainAttempt:
    """A child that no run sent: its meta goes to its own `TaskResult`, through Celery."""

    def __init__(self, task: ChildTask) -> None:
        self._task = task
        self.name = str(task.name).rpartition(".")[2]
        self.lost = False
        self.report_interval = report_interval(task)

    def report(self, meta: Meta) -> None:
        if not self._task.request.is_eager:
            self._task.update_state(state="PROGRESS", meta=meta.as_dict())

    def finish(
        self,
        outcome: Meta,  # noqa: ARG002 - Celery stores it, from what the task returns or raises
        traceback: str | None = None,  # noqa: ARG002
        error: Exception | None = None,
    ) -> bool:
        """See `children.host.Attempt`. A retry is a message of Celery's.

        Raises:
            Retry: by its own options the task is tried again.
        """
        retrying = self._task.retrying
        if error is not None and retrying is not None and retrying.takes(error):
            done = self._task.request.retries or 0
            raise self._task.retry(
                exc=error, countdown=retrying.wait(done), max_retries=retrying.retries
            )
        return True

    def abandon(self) -> None:
        """Nobody takes a plain task's attempt away."""


def report_interval(task: ChildTask) -> float:
    """Seconds between two reports: the task's own, else the setting, else 0.5."""
    own = task.report_interval
    return own if own is not None else float(getattr(settings, "WORKFLOW_REPORT_INTERVAL", 0.5))


def _nowhere(meta: Meta) -> None:
    """Where the reports of a direct call go."""
