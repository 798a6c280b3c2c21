"""gunicorn's own lines go to the project's log: `gunicorn --config python:mainproj.gunicorn`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mainproj.settings")

from django.conf import settings

# No level: that is gunicorn's option. Its access log is off, for ours knows the request's id, and
# keeps the secret of a login link to itself.
logconfig_dict = settings.LOGGING | {
    "loggers": {
        **settings.LOGGING["loggers"],
        "gunicorn.error": {"handlers": [], "propagate": True},
        "gunicorn.access": {"handlers": [], "propagate": True},
    }
}
