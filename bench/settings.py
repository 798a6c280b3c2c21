"""The project's settings with the bench's own workflows beside the shipped ones."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-measuring")
os.environ.setdefault("LOCAL", "on")
os.environ.setdefault("START_RATE", "off")

from mainproj.settings import *  # noqa: F403
from mainproj.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "bench.flows"]
ROOT_URLCONF = "bench.urls"
