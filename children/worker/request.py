"""Tells the host when the process that runs a child dies."""

from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError

from children import host
from children.meta import error_text
from children.worker.follower_terms import terms_of
from children.worker.followers import TERMS, ReportedText
from children.worker.loop_wakeup import WakingRequest

__all__ = ["ChildRequest"]


class ChildRequest(WakingRequest):
    """A request that tells the host when the process that runs it dies.

    In that case Celery calls neither `task_postrun` nor the task's `on_failure` (celery 5.7,
    `worker/request.py`). Only the request, in the worker's main process, learns of it.
    """

    _timed_out = False

    def __init__(
        self, message: Any, *, headers: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        headers = message.headers if headers is None else headers
        if host.current() is not None and host.HEADER in headers:
            # The host stores an attempt's outcome, so Celery must not. The publisher cannot set
            # this if its version of the code lacks this task.
            headers = {**headers, "ignore_result": True}
        super().__init__(message, headers=headers, **kwargs)
        if host.HEADER in headers and (terms := terms_of(self)) is not None:
            self.request_dict[TERMS] = terms

    def send_event(self, type: str, **fields: Any) -> Any:
        """Send an event, unless the process that ran the child has sent it."""
        if isinstance(fields.get("result"), ReportedText):
            return None
        return super().send_event(type, **fields)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        exc = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard wraps exceptions
        if self._timed_out or isinstance(exc, TimeLimitExceeded):
            # A hard limit calls this before `on_timeout`, and again when the process dies of it:
            # Celery would report one failure three times.
            return None
        # A body cannot raise these: the process died, or the code of Celery that runs the body
        # failed.
        died = isinstance(exc, WorkerLostError | Terminated) or not isinstance(exc, Exception)
        if died:
            self._report_death(f"the worker process died while running it ({error_text(exc)})")
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        finally:
            if not died:
                self._report_failure(error_text(exc))

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if soft:
            return super().on_timeout(soft, timeout)
        self._timed_out = True
        returned = super().on_timeout(soft, timeout)
        self._report_death(error_text(TimeLimitExceeded(timeout)))
        return returned

    def _report_failure(self, error: str) -> None:
        current = host.current()
        if current is not None and host.HEADER in self.request_dict:
            current.message_failed(self.id, f"its outcome could not be recorded ({error})")

    def _report_death(self, reason: str) -> None:
        current = host.current()
        if current is not None and host.HEADER in self.request_dict:
            current.process_died(self.id, reason)
