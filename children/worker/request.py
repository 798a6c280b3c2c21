"""How a worker's main process hears of a child whose process died."""

from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError

from children import host
from children.meta import error_text
from children.worker.loop_wakeup import WakingRequest

__all__ = ["ChildRequest"]


class ChildRequest(WakingRequest):
    """A request that tells the engine when the process under it dies.

    Celery calls neither `task_postrun` nor the task's own `on_failure` then (celery 5.7,
    `worker/request.py`); the request, in the main process, is the only one that knows.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if host.engine() is not None and host.HEADER in self.request_dict:
            # An attempt's outcome is the engine's. Whoever published it could not say so if it
            # runs a version of the code without this task.
            self.request_dict["ignore_result"] = self._ignore_result = True

    _timed_out = False

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        exc = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard wraps it
        if self._timed_out or isinstance(exc, TimeLimitExceeded):
            # Before `on_timeout`, and again when the process dies of it: Celery would tell of the
            # one failure three times.
            return None
        # What no body's error can be is the end of its process, or of what Celery runs it in.
        died = isinstance(exc, WorkerLostError | Terminated) or not isinstance(exc, Exception)
        if died:
            self._lost(f"the worker process died while running it ({error_text(exc)})")
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        finally:
            if not died:
                self._over(error_text(exc))

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if soft:
            return super().on_timeout(soft, timeout)
        self._timed_out = True
        answer = super().on_timeout(soft, timeout)
        self._lost(error_text(TimeLimitExceeded(timeout)))
        return answer

    def _over(self, how: str) -> None:
        engine = host.engine()
        if engine is not None and host.HEADER in self.request_dict:
            engine.over(self.id, f"its outcome could not be recorded ({how})")

    def _lost(self, reason: str) -> None:
        engine = host.engine()
        if engine is not None and host.HEADER in self.request_dict:
            engine.lost(self.id, reason)
