"""The settings of a team with habits of its own, and as little as possible for our apps."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "the team's"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
AUTH_USER_MODEL = "people.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "team.urls"
STATIC_URL = "static/"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "start"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "team.sqlite3",
        # Else a transaction that reads before it writes fails at once when another one writes.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
if postgres := os.environ.get("TEAM_POSTGRES"):
    where = urlsplit(postgres)
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": where.path[1:],
        "USER": where.username,
        "HOST": where.hostname,
        "PORT": where.port,
    }

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "people",
    "shop",
    "django_celery_results",
    "children",
    "parent",
    "monitor",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

CELERY_BROKER_URL = os.environ.get("TEAM_BROKER", "memory://")
CELERY_RESULT_BACKEND = os.environ.get("TEAM_RESULTS", "django-db")
CELERY_BROKER_TRANSPORT_OPTIONS = {}
if "redis" in CELERY_BROKER_URL:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2}
if "TEAM_BEAT" in os.environ:
    # And Celery's default prefetch.
    CELERY_TASK_ACKS_LATE = True
    CELERY_BEAT_SCHEDULE = {
        "nightly weighing": {
            "task": "parent.weigh_all",
            "schedule": timedelta(seconds=2),
            "kwargs": {"parcels": 2},
            "options": {
                "headers": {
                    "workflow_owner": "ann@example.com",
                    "periodic_task_name": "nightly weighing",
                }
            },
        }
    }
    if os.environ["TEAM_BEAT"] == "database":
        INSTALLED_APPS.append("django_celery_beat")
        CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
else:
    CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_TASK_ALWAYS_EAGER = "TEAM_EAGER" in os.environ
METRICS_TOKEN = "a-token-for-probes"

# As far from DRF's defaults as it can be.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["shop.rest.Nobody"],
    "DEFAULT_RENDERER_CLASSES": ["shop.rest.Envelope"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FileUploadParser"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"start": "1/day"},
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 2,
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "ALLOWED_VERSIONS": ["7"],
    "DEFAULT_VERSION": "7",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "shop.rest.AlwaysTheFirst",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": os.environ.get("TEAM_SCHEMA_CLASS", "shop.api.TeamSchema"),
    "EXCEPTION_HANDLER": "shop.api.team_errors",
    "NON_FIELD_ERRORS_KEY": "whole",
    "UNAUTHENTICATED_USER": None,
    "UNICODE_JSON": False,
    "COMPACT_JSON": False,
    "STRICT_JSON": False,
    "URL_FORMAT_OVERRIDE": "cursor",
    "NUM_PROXIES": 3,
    "LIST_SERIALIZER_ERRORS_AS_DICT": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "The team's API",
    "OAS_VERSION": "3.0.3",
    "POSTPROCESSING_HOOKS": ["shop.api.stamped"],
    "SCHEMA_PATH_PREFIX_INSERT": "/outside",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": True,
    "SWAGGER_UI_DIST": "https://cdn.example.com/swagger",
}
