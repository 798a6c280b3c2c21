"""The task author's API: `@child_task` and `ChildTask`."""

import signal
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NoReturn, overload

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import Task, current_app, shared_task
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.functional import head_from_fun
from celery.utils.log import get_task_logger
from django.conf import settings

from children import host
from children.errors import AttemptLost, ChildError, ChildExit
from children.isolation import run_isolated
from children.meta import Meta, error_text
from children.progress import Progress
from children.storable import storable

__all__ = ["ChildTask", "child_task"]

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
    Request = "children.request:ChildRequest"
    report_interval: ClassVar[float | None] = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        # Celery calls the task with a fresh request on the stack; a body that calls itself
        # finds that request in use.
        if request.called_directly or getattr(request, "child_entered", False):
            return self.run(Progress(_nowhere), *args, **kwargs)
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
        body = partial(self.run, progress, *args, **kwargs)
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

    def finish(self, *_: object) -> bool:
        """Celery stores the outcome itself, from what the task returns or raises."""
        return True

    def abandon(self) -> None:
        """Nobody takes a plain task's attempt away."""


def report_interval(task: ChildTask) -> float:
    """Seconds between two reports: the task's own, else the setting, else 0.5."""
    own = task.report_interval
    return own if own is not None else float(getattr(settings, "WORKFLOW_REPORT_INTERVAL", 0.5))


def _nowhere(meta: Meta) -> None:
    """Where the reports of a direct call go."""


@overload
def child_task(body: type[ChildTask], /) -> Any: ...
@overload
def child_task(body: Callable[..., Any], /) -> Any: ...
@overload
def child_task(*, name: str | None = None, **options: Any) -> Callable[[Any], Any]: ...


def child_task(body: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a function `f(progress, ...)`, or a `ChildTask` subclass with `run`, a child.

    Args:
        name: the Celery task's name; `<module>.<function>` without one.
        options: any option of a Celery task (`time_limit`, `rate_limit`, ...), and
            `report_interval` in seconds.

    Returns:
        The Celery task. Called directly, without `progress`, it runs the body here and now.
    """

    if name is not None:
        options["name"] = name

    def decorate(body: Any) -> Any:
        if isinstance(body, type):
            return _register_class(body, options)
        register: Any = shared_task(base=ChildTask, __header__=_head(body, None), **options)
        return register(body)

    return decorate if body is None else decorate(body)


def _register_class(body: type, options: dict[str, Any]) -> Any:
    if not issubclass(body, ChildTask):
        raise TypeError(f"{body.__name__} is no ChildTask: write class {body.__name__}(ChildTask)")
    own = {"__module__": body.__module__, "__header__": _head(body.run, None, None)}
    task_class: Any = type(str(body.__name__), (body,), own | options)
    return current_app.register_task(task_class())


def _head(body: Callable[..., Any], *given: None) -> Any:
    """What Celery checks a call's arguments against: without `self` and `progress`, which are
    not the caller's to give.
    """
    return staticmethod(partial(head_from_fun(body), *given))
