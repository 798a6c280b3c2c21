"""The defaults of `up`, for one machine, set before the settings are read.

Standard library only: `manage.py` calls this before Django is imported.
"""

import os
from collections.abc import Sequence

__all__ = ["DEFAULTS", "UMASK", "set_defaults"]

UMASK = 0o077
"""Files of `up` and its programs are readable only by the user who runs it."""
DEFAULTS = {"LOCAL": "on", "LOG_FORMAT": "text", "ACCESS_LOG": "off"}


def set_defaults(argv: Sequence[str]) -> None:
    """Set the defaults in the environment of an `up`, which its programs inherit."""
    if argv[1:2] == ["up"]:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        os.umask(UMASK)
