"""What the author's `inputs` and `result` get: a run's parameters and its steps' results."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from children.sanitize import one_line
from parent.decisions.mapping import copied
from parent.definition.workflow import RunData
from parent.models import Run, Step
from parent.runs.items.results import MappedResults
from parent.store.large_results import read_rows
from parent.store.run_rows import FAILED, UnreadSteps, has_results

__all__ = ["Results", "StoredResults", "apart", "run_data"]


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
    return RunData(params=run.params, results=Results(StoredResults(finished)), errors=errors)


def apart(data: Callable[[], RunData]) -> RunData:
    """A copy of the data, for one of the author's functions.

    The function may change its copy. Other functions must not see such a change, and at a start
    the run's parameters, which are not stored yet, must not change either.
    """
    shared = data()
    return replace(
        shared,
        params=copied(shared.params),
        results=cast("Results", shared.results).apart(),
        errors=dict(shared.errors),
    )


class StoredResults:
    """The results of finished steps, by step name. Each is read once.

    The first use reads all that are not large, in one statement.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = {step.name: step for step in steps}
        self._small: dict[str, Any] | None = None

    def read(self, name: str) -> Any:
        """The result itself: who changes it changes it for others."""
        step = self.steps[name]
        if step.is_mapped and step.items is not None:
            return MappedResults(step)
        if "result" in step.get_deferred_fields():
            if self._small is None:
                self._small = self._read_small()
            if name in self._small:
                return self._small[name]
        return step.result

    def _read_small(self) -> dict[str, Any]:
        names = {
            step.pk: name
            for name, step in self.steps.items()
            if "result" in step.get_deferred_fields()
        }
        rows = read_rows(Step.objects.filter(pk__in=names).only("result", "result_size"))
        read = [row for row in rows if "result" not in row.get_deferred_fields()]
        return {names[row.pk]: row.result for row in read}


def _read_all(name: str) -> Callable[..., Any]:
    """A method of `dict` that first reads all results."""

    def method(self: "Results", *args: Any, **kwargs: Any) -> Any:
        for unread in list(self.unread):
            self[unread]
        return getattr(dict, name)(self, *args, **kwargs)

    return method


class Results(dict[str, Any]):
    """The results of finished steps, by step name; each is read, and copied, when it is first used.

    Of a mapped step they are `MappedResults`, which read its items, also where it has failed.

    It is a dict, so that an author can merge it, copy it, change it, or pass it on as JSON.
    """

    def __init__(self, stored: StoredResults) -> None:
        self._stored = stored
        self.unread = dict.fromkeys(stored.steps)
        super().__init__(self.unread)

    def apart(self) -> "Results":
        """The same results, for somebody else."""
        return Results(self._stored)

    def __getitem__(self, name: str) -> Any:
        if name in self.unread:
            value = copied(self._stored.read(name))
            del self.unread[name]
            super().__setitem__(name, value)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - it would call itself

    def __reduce__(self) -> Any:
        """A copy of it, deep or not, is a plain dict."""
        return dict, (dict(self),)

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
    __setitem__, __delitem__, __ior__ = (
        _read_all("__setitem__"),
        _read_all("__delitem__"),
        _read_all("__ior__"),
    )
    update, clear = _read_all("update"), _read_all("clear")
