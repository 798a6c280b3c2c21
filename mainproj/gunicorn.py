"""The common configuration of gunicorn: `gunicorn --config python:mainproj.gunicorn`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")

from django.conf import settings

worker_class = "roles.http.worker.HTTPWorker"
logconfig_dict = settings.LOGGING | {
    "loggers": {
        **settings.LOGGING["loggers"],
        # Without a level, which is an option of gunicorn.
        "gunicorn.error": {"handlers": [], "propagate": True},
        # Off. Our own access log has the request's id, and not the secret of a login link.
        "gunicorn.access": {"handlers": [], "propagate": False},
        # Below that it warns about each request that waits for a thread.
        "waitress.queue": {"level": "ERROR"},
    }
}
