"""Tasks made of a function of the test, which run it as a child and as a plain Celery task."""

from collections.abc import Callable
from typing import Any

from celery import shared_task

from children import Progress, child_task

__all__ = ["as_child", "as_foreign"]


def as_child(body: Callable[[], Any]) -> Any:
    @child_task(name="shop.body")
    def child(progress: Progress) -> Any:
        return body()

    return child


def as_foreign(body: Callable[[], Any]) -> Any:
    @shared_task(name="shop.body")
    def foreign() -> Any:
        return body()

    return foreign
