"""The Celery application."""

import os

from celery import Celery, signals

from mainproj.log import set_up_celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")

signals.setup_logging.connect(set_up_celery, dispatch_uid="mainproj.log")
app = Celery("mainproj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
