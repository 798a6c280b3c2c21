"""The project's settings, with the workflows of the tests added."""

import json
import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ.setdefault("LOCAL", "on")
os.environ.setdefault("START_RATE", "off")

from mainproj.settings import *  # noqa: F403
from mainproj.settings import CELERY_BROKER_TRANSPORT_OPTIONS, INSTALLED_APPS

EXAMPLES = ["thumbnails", "submission", "questionnaire", "routine"]
INSTALLED_APPS = [*INSTALLED_APPS, *(f"examples.{name}" for name in EXAMPLES), "tests.flows"]
ROUTINE = {"clear_sessions": None}  # no test waits for the night
WORKFLOW_LIMITS = {"alone": 1}
if browsers := os.environ.get("QUESTIONNAIRE_BROWSERS"):
    QUESTIONNAIRE_BROWSERS = browsers
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Settings for the workers that a test starts, as JSON.
CELERY_BROKER_TRANSPORT_OPTIONS |= json.loads(os.environ.get("TRANSPORT_OPTIONS", "{}"))
CELERY_RESULT_BACKEND = os.environ.get("RESULT_BACKEND", "django-db")
CELERY_WORKER_DISABLE_PREFETCH = "PREFETCH" not in os.environ
if amqp_url := os.environ.get("AMQP_URL"):
    CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = amqp_url, {}
