"""Settings of security: login, TLS, and what browsers may do with our pages."""

from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from mainproj.environment import env
from monitor import probe_paths
from monitor.conf import MAX_UPLOAD_BYTES, START_RATE

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

DEBUG = env.flag("DEBUG", False, "Django's pages for developers; never where others can reach it")
LOCAL = env.flag(
    "LOCAL", False, "plain http for browsers on this machine alone; `make up` turns it on"
)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", LOOPBACK, "the names under which it is reached")
if LOCAL and not set(ALLOWED_HOSTS) <= set(LOOPBACK):
    raise ImproperlyConfigured(
        "LOCAL=on is for browsers on this machine alone, and ALLOWED_HOSTS names more: unset one "
        "of the two. Write, for example, LOCAL=off"
    )
CSRF_TRUSTED_ORIGINS = env.origins(
    "CSRF_TRUSTED_ORIGINS",
    "what people see in their browser, where a proxy changes the Host",
    wildcards=True,
)

# What other machines can reach needs TLS.
PLAIN_HTTP = DEBUG or LOCAL
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not PLAIN_HTTP
SECURE_REDIRECT_EXEMPT = [
    rf"^({'|'.join(probe_paths.ALL)})$"
]  # for probes from inside, over plain HTTP
if env.flag("BEHIND_TLS_PROXY", False, "believe the header X-Forwarded-Proto, which a proxy sets"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.number(
    "HSTS_SECONDS", 0 if PLAIN_HTTP else 3600, "how long browsers insist on https", unset="3600"
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.flag(
    "HSTS_SUBDOMAINS", False, "HSTS for all subdomains too, and for the preload list of browsers"
)
# Only the owner of a domain can decide about its other hosts, by HSTS_SUBDOMAINS.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "monitor.http.error_pages.csrf_failure"

# No inline scripts and styles: injected text cannot become code.
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # small images in style sheets
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# Features that a page could use. Ours use none of them.
PERMISSIONS_POLICY: dict[str, list[str]] = {
    name: []
    for name in (
        *("accelerometer", "autoplay", "camera", "display-capture", "encrypted-media"),
        *("fullscreen", "geolocation", "gyroscope", "magnetometer", "microphone", "midi"),
        *("payment", "usb", "xr-spatial-tracking"),
    )
}

# Other sites need a token: cookies work for our own pages only.
CORS_ALLOWED_ORIGINS = env.origins(
    "CORS_ALLOWED_ORIGINS", "other sites whose pages may call the API, with a token"
)
CORS_URLS_REGEX = r"^/(tasks|workflows|schema)/"
CORS_ALLOW_HEADERS = [
    *("accept", "authorization", "content-type", "idempotency-key", "if-none-match"),
    "x-request-id",
]
CORS_EXPOSE_HEADERS = ["ETag", "Location", "Retry-After", "Workflow-Start", "X-Request-ID"]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "sesame.backends.ModelBackend",
]
SESAME_ONE_TIME = True
SESAME_MAX_AGE = 24 * 60 * 60
# django-axes counts in the database, and so for all web processes together.
AXES_FAILURE_LIMIT = env.number(
    "LOGIN_ATTEMPTS", 5, "logins of one name from one address that may fail in a row", at_least=1
)
AXES_COOLOFF_TIME = timedelta(
    seconds=env.seconds(
        "LOGIN_LOCK", 900, "until a locked name may try again from its address", zero=""
    )
)
# Not by the name alone: anybody could lock its owner out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "mainproj.login.counted_name"
AXES_CLIENT_IP_CALLABLE = "monitor.http.client_address.client_address"
PROXIES = env.number(
    "PROXIES", 0, "proxies in front, each of which adds an address to X-Forwarded-For"
)
AXES_LOCKOUT_CALLABLE = "monitor.http.error_pages.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

METRICS_TOKEN = env.token("METRICS_TOKEN", "gives access to /metrics and /readyz: `Bearer <token>`")
WORKFLOW_START_RATE = env.rate("START_RATE", START_RATE, "starts and retries of one user")
MAX_UPLOAD_BYTES = env.number(
    "MAX_UPLOAD_BYTES", MAX_UPLOAD_BYTES, "the largest body with files", at_least=1
)
MAX_BODY_VALUES = env.number(
    "MAX_BODY_VALUES",
    20_000,
    "the most values in a body, lists and objects included",
    at_least=1,
)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.number(
    "MAX_BODY_BYTES",
    2_621_440,
    "the largest body without files, and the most bytes beside files",
    at_least=1,
)
