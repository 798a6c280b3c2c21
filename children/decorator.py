"""`@child_task`: a function or a class becomes a child."""

import inspect
from collections.abc import Callable
from typing import Any, overload

from celery import Task, current_app, shared_task

from children.declaration.retrying import Retrying
from children.declaration.signature import Signature, function_of, step_problems
from children.task import ChildTask

__all__ = ["child_task"]


@overload
def child_task(body: type[ChildTask], /) -> Any: ...
@overload
def child_task(body: Callable[..., Any], /) -> Any: ...
@overload
def child_task(*, name: str | None = None, **options: Any) -> Callable[[Any], Any]: ...


def child_task(body: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a function `f(progress, ...)`, or a `ChildTask` subclass with `run`, a child.

    The function may be `async def`. What cannot work is told by Django's system checks, with what
    to write instead.

    Args:
        name: the Celery task's name; `<module>.<function>` without one.
        options: any option of a Celery task (`time_limit`, `rate_limit`, ...), and
            `report_interval` in seconds. With `bind=True` the task comes before the progress.
            `autoretry_for` and its companions are the retries of a step that has none of its own.

    Returns:
        The Celery task. Called directly, without `progress`, it runs the body here and now.

    Raises:
        TypeError: `body` is nothing that a child can be made of.
    """

    if name is not None:
        options["name"] = name

    def decorate(body: Any) -> Any:
        if isinstance(body, type):
            return _register_class(body, options)
        return _register_function(body, options)

    return decorate if body is None else decorate(body)


def _register_function(body: Any, options: dict[str, Any]) -> Any:
    function, own = function_of(body)
    if options.get("pydantic"):
        raise TypeError("leave pydantic=True out: the workflow's serializer validates parameters")
    if own and options.get("bind"):
        raise TypeError(f"{function.__name__} is bound to an object: leave bind=True out")
    base = options.get("base", ChildTask)
    if not issubclass(base, ChildTask):
        raise TypeError(f"{base.__name__} is no ChildTask: write class {base.__name__}(ChildTask)")
    signature = Signature(function, own + 1 + bool(options.get("bind")))
    found = _found(signature, options)
    register: Any = shared_task(**{"base": ChildTask} | options | found)
    return register(body.__func__ if isinstance(body, staticmethod) else body)


def _register_class(body: type, options: dict[str, Any]) -> Any:
    if not issubclass(body, ChildTask):
        raise TypeError(f"{body.__name__} is no ChildTask: write class {body.__name__}(ChildTask)")
    if body.run is Task.run:
        raise TypeError(f"{body.__name__} has no body: write def run(self, progress, ...)")
    run = inspect.getattr_static(body, "run")
    signature = Signature(getattr(run, "__func__", run), 1 if type(run) is staticmethod else 2)
    given = {key: getattr(body, key) for key in _own_names(body)} | options
    own = {"__module__": body.__module__, **options, **_found(signature, given)}
    own.pop("bind", None)  # a method has its task
    task_class: Any = type(str(body.__name__), (body,), own)
    return current_app.register_task(task_class())


def _own_names(body: type) -> set[str]:
    """What the class and its own bases say, and `ChildTask` does not."""
    return {name for kind in body.__mro__ if kind not in ChildTask.__mro__ for name in vars(kind)}


def _found(signature: Signature, options: dict[str, Any]) -> dict[str, Any]:
    """The attributes that a child has beside its options."""
    return {
        "__header__": signature.head,
        "reserved": signature.reserved,
        "problems": tuple(signature.problems()),
        "step_problems": tuple(step_problems(options)),
        "retrying": Retrying.of_options(options),
        # With it Celery would wrap the body in its own retries, which know nothing of attempts.
        "autoretry_for": (),
    }
