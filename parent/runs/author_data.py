"""What an author's `inputs` and `result` read of a run: its parameters and its steps' results."""

from collections.abc import Callable, Sequence
from typing import Any

from parent.definition.workflow import RunData
from parent.models import Run, Step, StepState
from parent.store.large_results import read
from parent.store.run_rows import Rest

__all__ = ["Results", "run_data"]


def run_data(run: Run, steps: Sequence[Step], rest: Rest | None = None) -> RunData:
    """The data of a run with these steps. `rest`: where they are not all."""
    finished = [step for step in steps if step.state == StepState.OK]
    if rest is not None:
        finished = rest.finished_with(steps)
    return RunData(params=run.params, results=Results(finished))


def _of_all(name: str) -> Callable[..., Any]:
    """The method of `dict` that needs all results."""

    def method(self: "Results", *args: Any) -> Any:
        for unread in list(self.unread):
            self[unread]
        return getattr(dict, name)(self, *args)

    return method


class Results(dict[str, Any]):
    """The results of finished steps, by name, each read when it is asked for.

    The first that is asked for brings all that are not large along, in one statement. It is a
    dict, so that an author may pass all of it on: as JSON, with others, as a copy.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        found = {step.name: step for step in steps}
        self.unread = {n: s for n, s in found.items() if "result" in s.get_deferred_fields()}
        self._small_are_read = False
        super().__init__((name, step.result_if_read) for name, step in found.items())

    def __getitem__(self, name: str) -> Any:
        if name in self.unread:
            self._read_small()
        if name in self.unread:
            self[name] = self.unread.pop(name).result
        return super().__getitem__(name)

    def _read_small(self) -> None:
        if self._small_are_read:
            return
        self._small_are_read = True
        names = {step.pk: name for name, step in self.unread.items()}
        rows = Step.objects.filter(pk__in=names).only("result", "result_size")
        for step in read(rows):
            if "result" not in step.get_deferred_fields():
                self[names[step.pk]] = step.result
                del self.unread[names[step.pk]]

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - it would call itself

    # With `__iter__` among them Python's own `dict(...)` and `{**...}` come by these as well.
    __iter__, items, values = _of_all("__iter__"), _of_all("items"), _of_all("values")
    __eq__, __ne__, __repr__ = _of_all("__eq__"), _of_all("__ne__"), _of_all("__repr__")
    __or__, __ror__, copy = _of_all("__or__"), _of_all("__ror__"), _of_all("copy")
    pop, popitem, setdefault = _of_all("pop"), _of_all("popitem"), _of_all("setdefault")
