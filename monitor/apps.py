"""The Django app of the monitor."""

from django.apps import AppConfig


class MonitorConfig(AppConfig):
    name = "monitor"
