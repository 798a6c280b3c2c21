"""The Django app of the workflow to try things with."""

from django.apps import AppConfig


class MainFlowConfig(AppConfig):
    name = "examples.main_flow"
    label = "main_flow"
    verbose_name = "Main flow"
