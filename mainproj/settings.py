"""Settings: everything that differs between machines comes from the environment.

With `LOCAL=on`, which `make up` sets, and no other variable, these are the settings of an
installation on one machine: SQLite, a Redis socket and a secret key, all under `.data/`.
"""

import sys
from pathlib import Path
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from children.progress import REPORT_INTERVAL
from mainproj.cache import SCHEMES, cache_at
from mainproj.database import with_options
from mainproj.environment import env
from mainproj.log import log_config
from mainproj.mail import *  # noqa: F403 - settings
from mainproj.processes import *  # noqa: F403 - settings
from mainproj.secret import secret_key
from mainproj.security import *  # noqa: F403 - settings
from mainproj.security import PLAIN_HTTP
from parent.conf import INTERVALS, LIMITS

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(
    env.text(
        "DATA_DIR",
        str(BASE_DIR / ".data"),
        "database, queue and uploads of one machine",
        example="/srv/parentchild",
        unset="`.data`",
    )
).resolve()
SECRET_KEY = secret_key(
    env.text(
        "SECRET_KEY",
        "",
        "signs sessions and login links; the same for all web processes",
        example="$(openssl rand -base64 48)",
        unset="none; with `LOCAL` or `DEBUG` made once in `DATA_DIR`",
        secret=True,
    ),
    DATA_DIR,
    make=PLAIN_HTTP,
)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "corsheaders",
    "csp",
    "django_celery_results",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "children",
    "parent",
    "monitor",
    "quickstart",
    "roles",
    "examples.main_flow",
    "rest_framework.authtoken",  # after roles, which replaces its command
]
INSTALLED_APPS += env.apps(
    "WORKFLOW_APPS",
    ["examples.csv_profile"],
    "apps with workflows",
    beside=INSTALLED_APPS,
    example="shop,warehouse.flows",
)

MIDDLEWARE = [
    "monitor.http.middleware.RequestLog",
    "monitor.http.middleware.NotStored",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "monitor.api.not_modified.Unchanged",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # WhiteNoise has compressed files of its own
    "monitor.http.middleware.ErrorResponses",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "monitor.http.middleware.AddSlash",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "monitor.http.middleware.ClosedByDefault",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

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
    "default": with_options(
        env.database(
            "DATABASE_URL",
            f"sqlite:///{quote(str(DATA_DIR))}/db.sqlite3",
            "the database: PostgreSQL 15 or newer, or SQLite",
            unset="SQLite in `DATA_DIR`",
        ),
        env.number("CONN_MAX_AGE", 60, "seconds that a connection to the database is kept"),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = env.text(
    "MEDIA_ROOT",
    str(DATA_DIR / "media"),
    "uploaded files; web processes and workers share it",
    example="/srv/media",
    unset="in `DATA_DIR`",
)
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "monitor.http.uploads.LargeFiles",
]
# Web processes and workers run as one user; no other user may read uploads.
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
STATIC_URL = "static/"
STATIC_ROOT = (
    env.text(
        "STATIC_ROOT",
        "",
        "where `collectstatic` puts static files",
        example="/srv/static",
        unset="none: served from where they are",
    )
    or None
)
# Names of collected files contain a hash of the content; browsers may keep them for ever.
WHITENOISE_USE_FINDERS = not STATIC_ROOT
if STATIC_ROOT:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {
            "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
            # Static files are public, and another user may have collected them.
            "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
        },
    }

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
TIME_ZONE = "UTC"
USE_TZ = True

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "monitor:start"
LOGOUT_REDIRECT_URL = "login"

# For views that apps with workflows bring along; ours carry their own.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "monitor.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
# `manage.py spectacular` writes the document of our API.
SPECTACULAR_SETTINGS = {"DEFAULT_GENERATOR_CLASS": "monitor.api.documents.Document"}

WORKFLOW_POLICY = env.class_path(
    "WORKFLOW_POLICY",
    "monitor.policy.OwnerOrStaff",
    "the class that says who may what",
    example="shop.policy.Teams",
)

# The engine's settings; their defaults are in parent/conf.py.
WORKFLOW_POLL_INTERVAL = env.seconds(
    "WORKFLOW_POLL_INTERVAL",
    INTERVALS["WORKFLOW_POLL_INTERVAL"],
    "between two ticks, and two reports of a child",
    zero="",
)
WORKFLOW_REPORT_INTERVAL = env.seconds(
    "WORKFLOW_REPORT_INTERVAL",
    REPORT_INTERVAL,
    "between two reports of a child that no run sent",
    zero="",
)
WORKFLOW_QUEUE_TIMEOUT = env.seconds(
    "WORKFLOW_QUEUE_TIMEOUT",
    LIMITS["WORKFLOW_QUEUE_TIMEOUT"],
    "until a child that has not started is an error",
)
WORKFLOW_RUN_TIMEOUT = env.seconds(
    "WORKFLOW_RUN_TIMEOUT",
    LIMITS["WORKFLOW_RUN_TIMEOUT"],
    "until a child that has not finished is an error",
)
WORKFLOW_STALL_TIMEOUT = env.seconds(
    "WORKFLOW_STALL_TIMEOUT",
    LIMITS["WORKFLOW_STALL_TIMEOUT"],
    "until a child that has not reported is an error",
)
WORKFLOW_HEARTBEAT = env.seconds(
    "WORKFLOW_HEARTBEAT",
    INTERVALS["WORKFLOW_HEARTBEAT"],
    "between two heartbeats of a worker",
    zero="",
)
WORKFLOW_LEASE = env.seconds(
    "WORKFLOW_LEASE",
    INTERVALS["WORKFLOW_LEASE"],
    "how long a worker counts as alive after a heartbeat",
    zero="",
)
if WORKFLOW_LEASE < 2 * WORKFLOW_HEARTBEAT:
    raise ImproperlyConfigured(
        f"WORKFLOW_LEASE={WORKFLOW_LEASE:g} cannot be used: a worker that is late for one of its "
        f"signs of life, which come each {WORKFLOW_HEARTBEAT:g} s, would lose what it runs. "
        f"Write, for example, WORKFLOW_LEASE={6 * WORKFLOW_HEARTBEAT:g}"
    )
WORKFLOW_CANCEL_GRACE = env.seconds(
    "WORKFLOW_CANCEL_GRACE",
    LIMITS["WORKFLOW_CANCEL_GRACE"],
    "until a child that does not report is terminated after a cancel",
    zero="at once",
)
WORKFLOW_SHUTDOWN_GRACE = env.seconds(
    "WORKFLOW_SHUTDOWN_GRACE",
    LIMITS["WORKFLOW_SHUTDOWN_GRACE"],
    "until a worker that is stopping requeues what it runs",
)
WORKFLOW_SCHEDULE_GRACE = env.seconds(
    "WORKFLOW_SCHEDULE_GRACE",
    LIMITS["WORKFLOW_SCHEDULE_GRACE"],
    "how late a schedule without catch-up may start its run",
)
WORKFLOW_TIME_SLICE = env.seconds(
    "WORKFLOW_TIME_SLICE",
    LIMITS["WORKFLOW_TIME_SLICE"],
    "how long a message may go on with the children that follow its own, and how much later these "
    "may let another run begin",
    zero="each child has its own message",
)
WORKFLOW_RETENTION = env.seconds(
    "WORKFLOW_RETENTION",
    LIMITS["WORKFLOW_RETENTION"],
    "until an ended run is deleted",
    example="604800",
)
WORKFLOW_RESULT_INLINE_LIMIT = env.number(
    "WORKFLOW_RESULT_INLINE_LIMIT",
    int(LIMITS["WORKFLOW_RESULT_INLINE_LIMIT"] or 0),
    "bytes of the largest result that a status carries; a larger one is at its `result_url`",
)
WORKFLOW_MAP_LIMIT = env.number(
    "WORKFLOW_MAP_LIMIT",
    int(LIMITS["WORKFLOW_MAP_LIMIT"] or 0),
    "items that a mapped step may have; 0 is any number",
)
WORKFLOW_LIMITS = env.limits(
    "WORKFLOW_LIMITS",
    "limits that steps share, `Step(limits=[...])`: how many attempts may be active at a time, or "
    "a rate per second, minute, hour or day (s, m, h, d); staff can change the sizes in the admin",
)
WORKFLOW_NESTING_LIMIT = env.number(
    "WORKFLOW_NESTING_LIMIT",
    int(LIMITS["WORKFLOW_NESTING_LIMIT"] or 0),
    "how many runs may be inside of each other, below the outermost; 0 is 50",
)
WORKFLOW_DECISION_LINK_AGE = env.seconds(
    "WORKFLOW_DECISION_LINK_AGE",
    INTERVALS["WORKFLOW_DECISION_LINK_AGE"],
    "how long a signed link for one decision can be used",
    zero="",
    example="86400",
)
WORKFLOW_SIGNAL_LIMIT = env.number(
    "WORKFLOW_SIGNAL_LIMIT",
    int(LIMITS["WORKFLOW_SIGNAL_LIMIT"] or 0),
    "bytes of JSON that a signal or an approval may have; 0 is any number",
)
WORKFLOW_LOG_LINES = env.number(
    "WORKFLOW_LOG_LINES",
    int(LIMITS["WORKFLOW_LOG_LINES"] or 0),
    "lines that are kept of what an attempt logs: the first and the last ones; 0 keeps none",
)
WORKFLOW_LOG_BYTES = env.number(
    "WORKFLOW_LOG_BYTES",
    int(LIMITS["WORKFLOW_LOG_BYTES"] or 0),
    "how much they may take together; 0 is any size",
)
WORKFLOW_LOG_LEVEL = env.choice(
    "WORKFLOW_LOG_LEVEL",
    "INFO",
    "the lowest level of lines that are kept",
    among=["DEBUG", "INFO", "WARNING", "ERROR"],
)

CELERY_BROKER_URL = env.url(
    "REDIS_URL",
    f"redis+socket://{quote(str(DATA_DIR))}/redis.sock",
    "the broker",
    schemes=["redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps", "memory"],
    unset="a socket in `DATA_DIR`",
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A broker that does not answer must not block a request for minutes. The rows are already
    # written, and a tick sends the messages that could not be sent.
    "socket_connect_timeout": 2,
    "socket_timeout": 2,
}
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
# Of other tasks under Celery beat: those of runs are kept as long as the runs.
CELERY_RESULT_EXPIRES = WORKFLOW_RETENTION or None
CELERY_TASK_DEFAULT_QUEUE = "celery"
# Celery's Django fixup opens a new database connection for every task unless this is set.
CELERY_DB_REUSE_MAX = 1000
# No prefetch: messages wait in the broker, where a free worker can take them.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True

CACHES = {
    "default": cache_at(
        env.url(
            "CACHE_URL",
            CELERY_BROKER_URL,
            "where all web processes count starts together",
            schemes=SCHEMES,
            unset="the broker, where that is Redis",
        )
    )
}

# OpenTelemetry reads its variables itself. These two decide whether it is set up.
OTEL_TRACES_EXPORTER = env.choice(
    "OTEL_TRACES_EXPORTER",
    "otlp" if env.is_set("OTEL_EXPORTER_OTLP_ENDPOINT") else "none",
    "where traces go; needs the packages of the extra `otel`",
    among=["otlp", "console", "none"],
    unset="otlp where its endpoint is set, else none",
)
env.url(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "",
    "the collector of traces; OpenTelemetry's other variables hold as well",
    schemes=["http", "https"],
    example="http://collector:4318",
    unset="none",
)
OTEL_SERVICE_NAME = env.text(
    "OTEL_SERVICE_NAME", "parentchild", "what traces call this service", example="flows-web"
)

LOG_FORMAT = env.choice(
    "LOG_FORMAT",
    "text" if sys.stderr and sys.stderr.isatty() else "json",
    "JSON for machines, text for people",
    among=["json", "text"],
    unset="json; text on a terminal",
)
LOG_LEVEL = env.choice(
    "LOG_LEVEL", "INFO", "of what is logged", among=["DEBUG", "INFO", "WARNING", "ERROR"]
)
LOGGING = log_config(LOG_FORMAT, LOG_LEVEL)
ACCESS_LOG = env.flag("ACCESS_LOG", True, "a line for each request")
