"""gunicorn's own lines go to the project's log: `gunicorn --config python:mainproj.gunicorn`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")

from django.conf import settings

logconfig_dict = settings.LOGGING | {
    "loggers": {
        **settings.LOGGING["loggers"],
        # No level: that is gunicorn's own option.
        "gunicorn.error": {"handlers": [], "propagate": True},
        # Off. Ours knows the request's id, and keeps the secret of a login link to itself.
        "gunicorn.access": {"handlers": [], "propagate": False},
    }
}
