"""Gunicorn's configuration: `gunicorn --config python:roles.web_server`."""

from pathlib import Path

from django.conf import settings

from mainproj.gunicorn import logconfig_dict, worker_class  # noqa: F401 - gunicorn reads them

# An address of IPv6 in brackets.
host = f"[{settings.WEB_HOST}]" if ":" in settings.WEB_HOST else settings.WEB_HOST
bind = f"{host}:{settings.WEB_PORT}"
workers = settings.WEB_PROCESSES
threads = settings.WEB_THREADS
# A web process shows that it is alive by touching a file. A slow disk must not delay that.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True  # it needs a writable directory
