"""The project's settings with the tests' own workflows beside the shipped ones."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")

from mainproj.settings import *  # noqa: F403
from mainproj.settings import INSTALLED_APPS, env

INSTALLED_APPS = [*INSTALLED_APPS, "tests.flows"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Tests that wait for a lease to lapse, or for a deadline, say how long.
for name in ("LEASE", "HEARTBEAT", "QUEUE_TIMEOUT", "POLL_INTERVAL"):
    if value := env.float(f"WORKFLOW_{name}", default=0):
        globals()[f"WORKFLOW_{name}"] = value
