"""Gunicorn's configuration: `gunicorn --config python:roles.web_server`."""

from pathlib import Path

from django.conf import settings

from mainproj.gunicorn import logconfig_dict, worker_class  # noqa: F401 - settings of gunicorn's

bind = f"{settings.WEB_HOST}:{settings.WEB_PORT}"
workers = settings.WEB_PROCESSES
threads = settings.WEB_THREADS
# Its processes show that they live by touching a file, which a slow disk must not delay.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True  # it would need a directory to write to
