"""Django signals about runs, for other code of the project.

Each is sent in the process that made the change, after its commit. The receivers run one after
another in that process, before it goes on: in a worker on the engine's thread, with the engine's
connection. So a receiver should be fast. What it raises is logged, and changes nothing.

A signal is not durable: if the process dies between the commit and the signal, nobody gets it. A
notification of a workflow (`Workflow(notify=...)`) is.

    @receiver(run_ended)
    def count(sender, run, **kwargs): ...
"""

from django.dispatch import Signal

__all__ = ["approval_requested", "run_ended", "run_started", "step_failed"]

run_started = Signal()
"""A run's rows were written. `sender` is the model `Run`; `run` is the row. Once for each run."""

run_ended = Signal()
"""A run has ended; its `state` says how. `sender` is the model `Run`; `run` is the row. It is sent
again if the run ends again after a retry.
"""

step_failed = Signal()
"""A step is an ERROR, and no retry of its own follows. `sender` is the model `Step`; `step` is the
row, and `step.run` its run.
"""

approval_requested = Signal()
"""An approval begins to wait for its decision. `sender` is the model `Step`; `step` is the row, and
`step.run` its run. It is sent again if a retry asks anew.
"""
