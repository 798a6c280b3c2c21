"""What the author's `inputs` and `result` get: a run's parameters and its steps' results."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from children.sanitize import one_line
from parent.decisions.mapping import copied
from parent.definition.workflow import RunData
from parent.models import Run, Step
from parent.runs.items.results import MappedResults
from parent.store.large_results import read_rows
from parent.store.run_rows import FAILED, UnreadSteps, has_results

__all__ = ["Results", "apart", "run_data"]


def run_data(run: Run, steps: Sequence[Step], unread: UnreadSteps | None = None) -> RunData:
    """The data of a run with these steps. `unread`: its other steps, if these are not all."""
    finished = [step for step in steps if has_results(step)]
    if unread is not None:
        finished = unread.finished_steps(steps)
    errors = {step.name: one_line(step.error or "") for step in steps if step.state in FAILED}
    if unread is not None:
        known = {step.name for step in steps}
        rows = Step.objects.filter(run=run, state__in=FAILED).order_by("index")
        others = rows.exclude(name__in=known).values_list("name", "error")
        errors |= {name: one_line(error or "") for name, error in others}
    return RunData(params=run.params, results=Results(finished), errors=errors)


def apart(data: Callable[[], RunData]) -> RunData:
    """The data for one of the author's functions, with parameters of its own.

    It may build its values in them. At a start the run's own are not stored yet.
    """
    shared = data()
    return replace(shared, params=copied(shared.params))


def _read_all(name: str) -> Callable[..., Any]:
    """A method of `dict` that first reads all results."""

    def method(self: "Results", *args: Any) -> Any:
        for unread in list(self.unread):
            self[unread]
        return getattr(dict, name)(self, *args)

    return method


class Results(dict[str, Any]):
    """The results of finished steps, by step name; each is read when it is first used.

    Of a mapped step they are `MappedResults`, which read its items, also where it has failed.

    The first use reads all results that are not large, in one statement. It is a dict, so that
    an author can merge it, copy it, or pass it on as JSON.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        found = {step.name: step for step in steps}
        mapped = {n: s for n, s in found.items() if s.is_mapped and s.items is not None}
        self.unread = {
            name: step
            for name, step in found.items()
            if name not in mapped and "result" in step.get_deferred_fields()
        }
        self._small_are_read = False
        super().__init__(
            (name, MappedResults(step) if name in mapped else step.result_if_read)
            for name, step in found.items()
        )

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
        for step in read_rows(rows):
            if "result" not in step.get_deferred_fields():
                self[names[step.pk]] = step.result
                del self.unread[names[step.pk]]

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - it would call itself

    # Because `__iter__` is overridden, `dict(...)` and `{**...}` use these methods too.
    __iter__, items, values = (
        _read_all("__iter__"),
        _read_all("items"),
        _read_all("values"),
    )
    __eq__, __ne__, __repr__ = (
        _read_all("__eq__"),
        _read_all("__ne__"),
        _read_all("__repr__"),
    )
    __or__, __ror__, copy = _read_all("__or__"), _read_all("__ror__"), _read_all("copy")
    pop, popitem, setdefault = (
        _read_all("pop"),
        _read_all("popitem"),
        _read_all("setdefault"),
    )
