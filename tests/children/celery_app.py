"""The Celery app of the tests, given back as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import _state, current_app
from django.utils.module_loading import autodiscover_modules

__all__ = ["restored_tasks"]


@contextmanager
def restored_tasks() -> Iterator[None]:
    """Forget the tasks that are registered in this context."""
    autodiscover_modules("tasks")  # a module imported in here first would not register again
    # What `shared_task` gives to apps that are made later (celery 5.7, `celery/_state.py`).
    state: Any = _state
    tasks, finalizers = dict(current_app.tasks), set(state._on_app_finalizers)
    try:
        yield
    finally:
        current_app.tasks.clear()
        current_app.tasks.update(tasks)
        state._on_app_finalizers.clear()
        state._on_app_finalizers.update(finalizers)
