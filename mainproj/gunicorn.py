"""gunicorn's configuration on every machine: `gunicorn --config python:mainproj.gunicorn`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")

from django.conf import settings

worker_class = "roles.http.worker.HTTPWorker"
logconfig_dict = settings.LOGGING | {
    "loggers": {
        **settings.LOGGING["loggers"],
        # No level: that is gunicorn's own option.
        "gunicorn.error": {"handlers": [], "propagate": True},
        # Off. Ours knows the request's id, and keeps the secret of a login link to itself.
        "gunicorn.access": {"handlers": [], "propagate": False},
        # It would warn of each request that waits for a thread.
        "waitress.queue": {"level": "ERROR"},
    }
}
