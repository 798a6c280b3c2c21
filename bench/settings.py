"""The project's settings, with the workflows of the bench in addition."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-measuring")
os.environ.setdefault("LOCAL", "on")
os.environ.setdefault("START_RATE", "off")

from mainproj.settings import *  # noqa: F403
from mainproj.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "bench.flows"]
WORKFLOW_LIMITS = {"one": 1}
ROOT_URLCONF = "bench.urls"
