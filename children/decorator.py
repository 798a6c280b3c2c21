"""`@child_task`: registers a function or a class as a child."""

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

    The function may be `async def`. Django's system checks report what cannot work and what to
    write instead.

    Args:
        name: the Celery task's name; `<module>.<function>` without one.
        options: any option of a Celery task (`time_limit`, `rate_limit`, ...), and
            `report_interval` in seconds. With `bind=True` the task is the first argument and the
            progress the second. `autoretry_for` and the related options set the retries of a step
            that sets none itself.

    Returns:
        The Celery task. A direct call, without `progress`, runs the body in this process.

    Raises:
        TypeError: `body` cannot become a child.
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
        raise TypeError("remove pydantic=True: the workflow's serializer validates the parameters")
    if own and options.get("bind"):
        raise TypeError(f"{function.__name__} is bound to an object: remove bind=True")
    base = options.get("base", ChildTask)
    if not issubclass(base, ChildTask):
        raise TypeError(
            f"{base.__name__} is not a ChildTask: write class {base.__name__}(ChildTask)"
        )
    signature = Signature(function, own + 1 + bool(options.get("bind")))
    derived = _derived_attributes(signature, options)
    register: Any = shared_task(**{"base": ChildTask} | options | derived)
    return register(body.__func__ if isinstance(body, staticmethod) else body)


def _register_class(body: type, options: dict[str, Any]) -> Any:
    if not issubclass(body, ChildTask):
        raise TypeError(
            f"{body.__name__} is not a ChildTask: write class {body.__name__}(ChildTask)"
        )
    if body.run is Task.run:
        raise TypeError(f"{body.__name__} has no body: write def run(self, progress, ...)")
    run = inspect.getattr_static(body, "run")
    signature = Signature(getattr(run, "__func__", run), 1 if type(run) is staticmethod else 2)
    given = {key: getattr(body, key) for key in _own_names(body)} | options
    own = {"__module__": body.__module__, **options, **_derived_attributes(signature, given)}
    own.pop("bind", None)  # a method has the task as `self`
    task_class: Any = type(str(body.__name__), (body,), own)
    return current_app.register_task(task_class())


def _own_names(body: type) -> set[str]:
    """Attributes set by the class and its bases, without those of `ChildTask`."""
    return {name for kind in body.__mro__ if kind not in ChildTask.__mro__ for name in vars(kind)}


def _derived_attributes(signature: Signature, options: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a child that follow from its signature and options."""
    return {
        # Celery has no public way to replace the signature that checks a call's arguments.
        "__header__": signature.head,
        "reserved": signature.reserved,
        "problems": tuple(signature.problems()),
        "step_problems": tuple(step_problems(options)),
        "retrying": Retrying.of_options(options),
        # Otherwise Celery would wrap the body in its own retries, which ignore attempts.
        "autoretry_for": (),
    }
