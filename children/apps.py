"""The Django app of the shipped children."""

from django.apps import AppConfig


class ChildrenConfig(AppConfig):
    name = "children"
