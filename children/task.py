"""`ChildTask`: how a child runs, as a step or on its own."""

import inspect
import traceback
from collections.abc import Callable
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
from children.isolation.connections import kept_transaction
from children.isolation.contained import ends_process, exit_code, presentable
from children.isolation.run_isolated import run_isolated
from children.meta import Meta, error_text
from children.progress import REPORT_INTERVAL, Progress
from children.reporting.log_buffer import LogBuffer
from children.reporting.log_capture import captured_log
from children.sanitize import storable
from children.worker import followers

__all__ = ["ChildTask"]

logger = get_task_logger(__name__)

MISTAKEN_FOR_WORKER_FAILURES = (
    *(MemoryError, Terminated, TimeLimitExceeded, WorkerLostError),
    *(SystemExit, KeyboardInterrupt),
)
"""If a body raises one of these, Celery takes it for a failure of the worker. A MemoryError even
stops the worker (celery 5.7, `Request.on_failure`), and an error that is an interrupt too stops a
process of the pool. So they are replaced with `ChildError`.
"""


class ChildTask(Task):  # type: ignore[type-arg]
    """A Celery task whose `run(progress, **kwargs)` reports uniform meta.

    A direct call runs the body and returns what `run` returns. In a worker the task's result is
    an outcome: the meta with status OK and `result`. An exception becomes an ERROR outcome
    `Error in <name>: <message>`; Celery, its signals and its tools see a FAILURE.
    """

    abstract = True
    # The claim and the first report record the start. Celery's STARTED is written without the
    # check that the attempt still counts, and would overwrite them.
    track_started = False
    Request = "children.worker.request:ChildRequest"
    report_interval: ClassVar[float | None] = None

    trace_one: followers.Trace | None = None
    """Celery's tracer: it runs this task, and nothing that follows."""
    _trace: followers.Trace | None = None

    # Set by `@child_task`.
    retrying: ClassVar[Retrying | None] = None
    reserved: ClassVar[frozenset[str]] = frozenset()
    problems: ClassVar[tuple[Problem, ...]] = ()
    step_problems: ClassVar[tuple[Problem, ...]] = ()

    @property
    def __trace__(self) -> Any:
        """What a worker calls to run this task. Celery sets it (celery 5.7, `build_tracer`)."""
        return self._trace

    @__trace__.setter
    def __trace__(self, trace: followers.Trace | None) -> None:
        self.trace_one = trace
        self._trace = trace and followers.with_followers(self, trace)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        # Celery pushes a new request before it calls the task. If the body calls its own task,
        # that request is already in use.
        if request.called_directly or getattr(request, "child_entered", False):
            result = self.run(Progress(_discard), *args, **kwargs)
            # Inside an event loop the caller awaits the coroutine.
            return result if in_event_loop() else self._resolve(result)
        request.__dict__["child_entered"] = True
        attempt = self._claim()
        progress = Progress(
            attempt.report,
            send_later=attempt.report_later,
            interval=attempt.report_interval,
            checkpoint=attempt.checkpoint,
            context=attempt.context,
        )
        try:
            with captured_log(attempt.log):
                outcome = self._run_body(progress, attempt, args, kwargs)
        except AttemptLost:
            logger.warning("%s[%s] stopped: the attempt no longer counts", self.name, request.id)
            attempt.abandon()
            raise Ignore from None
        except (Ignore, Reject, Retry) as exc:
            self._reject_control_flow(exc, attempt, progress)
        except Exception as exc:
            told = presentable(exc)
            error = f"Error in {attempt.name}: {error_text(told)}"
            trace = storable("".join(traceback.format_exception(told)))
            final = attempt.finish(progress.meta.failed(error), trace, told)
            _follow(attempt)
            if final:
                if isinstance(told, MISTAKEN_FOR_WORKER_FAILURES):
                    raise ChildError(error_text(exc)) from exc
                if told is not exc:
                    raise told from None
                raise
            # Not a failure yet: Celery's signals, and so Sentry, must see only the last attempt's.
            logger.warning("%s[%s] will be retried", self.name, request.id, exc_info=told)
            raise Ignore from None
        attempt.finish(outcome)
        _follow(attempt)
        return outcome.as_dict()

    def _run_body(self, progress: Progress, attempt: host.Attempt, args: Any, kwargs: Any) -> Meta:
        def body() -> Any:
            return self._resolve(self.run(progress, *args, **kwargs), progress)

        try:
            if self.request.is_eager:
                # An inline child shares its caller's process state and transaction.
                with kept_transaction():
                    result = body()
            else:
                result = run_isolated(body)
            return progress.meta.ok(result)
        except SystemExit as exc:
            if ends_process(exc):
                raise
            _keep_checkpoint(progress)
            raise ChildExit(f"the body called sys.exit({exit_code(exc)})") from exc
        except AttemptLost as exc:
            if attempt.lost:
                raise
            raise ChildError("the body raised AttemptLost, which only a report may raise") from exc
        except Exception:
            _keep_checkpoint(progress)
            raise
        except BaseException as exc:
            # `asyncio.CancelledError`, groups of them, panics of extensions in other languages: no
            # pool handles these as failures. Ctrl-C in a terminal must reach the caller.
            if isinstance(exc, KeyboardInterrupt) and self.request.is_eager:
                raise
            _keep_checkpoint(progress)
            raise ChildError(error_text(exc)) from exc

    def _resolve(self, result: Any, progress: Progress | None = None) -> Any:
        """Return `result`; if it is a coroutine, run it and return its result."""
        if not inspect.iscoroutine(result):
            return result
        # Celery keeps a task's request per thread, so the loop's thread needs it too.
        body = CoroutineBody(result, begin=partial(self.request_stack.push, self.request))
        if progress is not None:
            progress.send_by(body.report, body.call)
        return body.run()

    def retry(self, *args: Any, **options: Any) -> Any:
        """Celery's `raise self.retry(exc=..., countdown=...)`; in a step, `progress.retry(...)`.

        In a step only `exc`, `eta`, `countdown` and `throw` have an effect. The step defines the
        number of retries.
        """
        if host.current() is None or host.HEADER not in (self.request.headers or {}):
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
        current = host.current()
        if header is None or current is None:
            return PlainAttempt(self)
        if (claimed := followers.claimed_attempt(str(request.id))) is not None:
            return claimed
        inline = bool(request.is_eager)
        delivery = None if inline else followers.current()
        attempt = current.claim(str(request.id), header, inline=inline, delivery=delivery)
        if attempt is None:
            logger.info("%s[%s] dropped: a duplicate delivery", self.name, request.id)
            raise Ignore
        return attempt

    def _reject_control_flow(
        self, exc: Exception, attempt: host.Attempt, progress: Progress
    ) -> NoReturn:
        """Fail a step that raised Ignore, Reject or Retry: it would end without an outcome."""
        if not isinstance(attempt, PlainAttempt):
            error = ChildError(
                f"Error in {attempt.name}: a step cannot raise Celery's {type(exc).__name__}; "
                "raise an ordinary exception instead"
            )
            attempt.finish(progress.meta.failed(str(error)), storable(traceback.format_exc()))
            _follow(attempt)
            raise error from exc
        raise exc


class PlainAttempt:
    """The attempt of a child that no run sent. Celery stores its meta in its own `TaskResult`."""

    follower: host.Follower | None = None
    ended = False
    log: LogBuffer | None = None

    def __init__(self, task: ChildTask) -> None:
        self._task = task
        self.name = str(task.name).rpartition(".")[2]
        self.lost, self.checkpoint = False, None
        self.report_interval = report_interval(task)

    def context(self, call: host.Call) -> None:
        """None: no run sent it."""

    def report(
        self,
        meta: Meta,
        checkpoint: Any = None,  # noqa: ARG002 - no step's row is there to keep it
    ) -> None:
        if not self._task.request.is_eager:
            self._task.update_state(state="PROGRESS", meta=meta.as_dict())

    def report_later(self, seconds: float, read: Callable[[], tuple[Meta, Any]]) -> None:
        """Do nothing: Celery's backend is the task's own, in its thread."""

    def finish(
        self,
        outcome: Meta,  # noqa: ARG002 - Celery stores what the task returns or raises
        traceback: str | None = None,  # noqa: ARG002
        error: Exception | None = None,
    ) -> bool:
        """See `children.host.Attempt`. Celery sends the message of a retry.

        Raises:
            Retry: the task's own options ask for a retry.
        """
        retrying = self._task.retrying
        if error is not None and retrying is not None and retrying.takes(error):
            done = self._task.request.retries or 0
            raise self._task.retry(
                exc=error, countdown=retrying.wait(done), max_retries=retrying.retries
            )
        return True

    def abandon(self) -> None:
        """Do nothing: a plain task's attempt always counts."""


def _follow(attempt: host.Attempt) -> None:
    if attempt.follower is not None:
        followers.set_follower(attempt.follower)


def _keep_checkpoint(progress: Progress) -> None:
    """The body has raised: store its checkpoint, from which the next attempt goes on.

    Raises:
        AttemptLost: the attempt no longer counts.
    """
    try:
        progress.send_checkpoint()
    except Exception:
        logger.exception("the checkpoint could not be stored")  # the body's own error counts


def report_interval(task: ChildTask) -> float:
    """Seconds between two reports: the task's attribute, else the setting or its default."""
    own = task.report_interval
    if own is not None:
        return own
    given = getattr(settings, "WORKFLOW_REPORT_INTERVAL", None)
    return REPORT_INTERVAL if given is None else float(given)


def _discard(meta: Meta, checkpoint: Any = None) -> None:
    """The `send` of a direct call, whose reports nobody reads."""
