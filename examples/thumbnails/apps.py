"""The Django app of the thumbnails example."""

from django.apps import AppConfig


class ThumbnailsConfig(AppConfig):
    name = "examples.thumbnails"
    label = "thumbnails"
    verbose_name = "Thumbnails"
