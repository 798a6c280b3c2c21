"""The project's settings with the tests' own workflows beside the shipped ones."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")

from mainproj.settings import *  # noqa: F403
from mainproj.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.flows"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
