"""Restores the registered tasks of the Celery app."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import _state, current_app
from django.utils.module_loading import autodiscover_modules

__all__ = ["restored_tasks"]


@contextmanager
def restored_tasks() -> Iterator[None]:
    """Unregister the tasks that are registered in this context."""
    # Import all modules first: one imported only in this context would not register again.
    autodiscover_modules("tasks")
    # Private, with no public way: `shared_task` keeps here what it registers in apps that are
    # created later (celery 5.7, `celery/_state.py`).
    state: Any = _state
    tasks, finalizers = dict(current_app.tasks), set(state._on_app_finalizers)
    try:
        yield
    finally:
        current_app.tasks.clear()
        current_app.tasks.update(tasks)
        state._on_app_finalizers.clear()
        state._on_app_finalizers.update(finalizers)
