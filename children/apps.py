"""The Django app of the shipped children."""

from celery import current_app
from django.apps import AppConfig


class ChildrenConfig(AppConfig):
    name = "children"

    def ready(self) -> None:
        from children import checks  # noqa: F401, PLC0415 - they register themselves
        from children.worker.loop_wakeup import WakeStep  # noqa: PLC0415 - Celery's worker is not for every process

        current_app.steps["worker"].add(WakeStep)
