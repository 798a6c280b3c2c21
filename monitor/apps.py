"""The Django app of the monitor."""

from django.apps import AppConfig


class MonitorConfig(AppConfig):
    name = "monitor"

    def ready(self) -> None:
        from monitor import checks  # noqa: F401, PLC0415 - they register themselves
