"""The project's settings with the chaos test's workflow, and with short timeouts."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-the-chaos-test")
os.environ.setdefault("LOCAL", "on")
os.environ.setdefault("START_RATE", "off")

from mainproj.settings import *  # noqa: F403
from mainproj.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "chaos.flows"]
WORKFLOW_POLL_INTERVAL = 0.25
WORKFLOW_HEARTBEAT = 1.0
WORKFLOW_LEASE = 6.0
WORKFLOW_CANCEL_GRACE = 3.0
WORKFLOW_SHUTDOWN_GRACE = 2.0
WORKFLOW_NOTIFICATION_TIMEOUT = 1.0
WORKFLOW_WEBHOOK_ALLOW_PRIVATE = True  # the receiver is on this machine
