"""The tests' settings, with a pool of connections to the database."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"] |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
DATABASES["default"]["OPTIONS"]["pool"] = True
