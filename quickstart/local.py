"""What `up` sets where its user has not, before the settings are read: it is for one machine.

Standard library only: `manage.py` calls this before Django is imported.
"""

import os
from collections.abc import Sequence

__all__ = ["DEFAULTS", "UMASK", "set_defaults"]

UMASK = 0o077
"""What `up` and its programs make is for the user who runs it, and for no other on the machine."""
DEFAULTS = {"LOCAL": "on", "LOG_FORMAT": "text", "ACCESS_LOG": "off"}


def set_defaults(argv: Sequence[str]) -> None:
    """Change the environment of an `up`, and of all that it starts; of no other command."""
    if argv[1:2] == ["up"]:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        os.umask(UMASK)
