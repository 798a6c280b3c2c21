"""The project: settings, Celery app and URLs."""

from mainproj.celery import app as celery_app

__all__ = ["celery_app"]
