"""Bodies that leave threads behind, which never end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rest_framework import serializers

from children import Progress, child_task
from parent import Step, Workflow

__all__ = ["KINDS", "left_behind"]

kept: list[Any] = []


def a_thread() -> None:
    threading.Thread(target=threading.Event().wait, name="left-behind").start()


def a_pool() -> None:
    pool = ThreadPoolExecutor(1, "left-behind")
    pool.submit(threading.Event().wait)
    kept.append(pool)


def a_timer() -> None:
    timer = threading.Timer(3_600, print)
    timer.name = "left-behind"
    timer.start()


KINDS = {kind.__name__: kind for kind in (a_thread, a_pool, a_timer)}


class KindParams(serializers.Serializer[None]):
    kind = serializers.ChoiceField([*KINDS])


@child_task(name="left_behind.leave")
def leave(progress: Progress, kind: str) -> None:
    KINDS[kind]()


left_behind = Workflow("left_behind", params=KindParams, steps=[Step(leave)])
