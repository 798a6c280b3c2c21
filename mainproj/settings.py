"""Settings: everything that differs between machines comes from the environment.

Without any variable set, this is the one-machine installation of `make up`:
SQLite, a Redis socket and a secret key, all under `.data/`.
"""

import os
from pathlib import Path
from urllib.parse import quote

import environ

from mainproj.secret import local_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data"))).resolve()
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or local_secret_key(DATA_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_results",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "children",
    "parent",
    "monitor",
    "quickstart",
    *env.list("WORKFLOW_APPS", default=["examples.csv_profile"]),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "sesame.backends.ModelBackend",
]
SESAME_ONE_TIME = True
SESAME_MAX_AGE = 24 * 60 * 60

ROOT_URLCONF = "mainproj.urls"
WSGI_APPLICATION = "mainproj.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{quote(str(DATA_DIR))}/db.sqlite3")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets readers go on while one writes. IMMEDIATE takes the write lock at BEGIN: a
    # transaction that reads first and writes later would otherwise fail with "database is
    # locked" at once, whatever the timeout.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # A server that is unreachable must not hold a request for minutes.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # Statements that come again and again are planned once. A pooler that shares connections
    # between transactions (PgBouncer) needs `?prepare_threshold=None` in DATABASE_URL instead.
    DATABASES["default"]["OPTIONS"] = {
        "server_side_binding": True,
        "prepare_threshold": 5,
        **DATABASES["default"].get("OPTIONS", {}),
    }
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(DATA_DIR / "media"))
STATIC_URL = "static/"
# Where `collectstatic` puts them; without it they are served from where they are.
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "start"
LOGOUT_REDIRECT_URL = "login"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [
        "monitor.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "monitor.problems.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "parentchild",
    "DESCRIPTION": (
        "Start workflows, follow their runs, cancel, retry and delete them. Log in with a token "
        "(`Authorization: Token ...`) or a session; a session's unsafe requests need the CSRF "
        "token in `X-CSRFToken`. Every error is a problem document (RFC 9457)."
    ),
    "VERSION": "0.1",  # of the contract
    "OAS_VERSION": "3.1.0",  # the first whose schemas are JSON Schema
    "COMPONENT_SPLIT_REQUEST": True,  # what goes in apart from what comes out: a file, its name
    "PREPROCESSING_HOOKS": ["monitor.schema.with_starts"],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [],  # enums stay in place: those of two apps may be called the same
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",  # from this server, not from a CDN
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"displayOperationId": True, "defaultModelsExpandDepth": 0},
}

# The engine's times, in seconds, 0 for never: parent/conf.py has what they are without these.
for name in (
    "WORKFLOW_POLL_INTERVAL",
    "WORKFLOW_QUEUE_TIMEOUT",
    "WORKFLOW_RUN_TIMEOUT",
    "WORKFLOW_STALL_TIMEOUT",
    "WORKFLOW_HEARTBEAT",
    "WORKFLOW_LEASE",
    "WORKFLOW_CANCEL_GRACE",
    "WORKFLOW_SHUTDOWN_GRACE",
    "WORKFLOW_RETENTION",
):
    if name in os.environ:
        globals()[name] = env.float(name)

CELERY_BROKER_URL = env.str(
    "REDIS_URL", default=f"redis+socket://{quote(str(DATA_DIR))}/redis.sock"
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A broker that does not answer must not hold a request for minutes: the rows are written
    # already, and a tick publishes what could not be published.
    "socket_connect_timeout": 2,
    "socket_timeout": 2,
}
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_DEFAULT_QUEUE = "celery"
# Celery's Django fixup opens a new database connection for every task unless this is set.
CELERY_DB_REUSE_MAX = 1000
# Messages wait in the broker, where another worker can take them, not in a busy worker's memory.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
