"""Applies `up --data-dir DIR` before the settings are read, because they read DATA_DIR.

Standard library only: `manage.py` calls this before Django is imported.
"""

import argparse
import os
from collections.abc import Sequence

__all__ = ["choose"]


def choose(argv: Sequence[str]) -> None:
    """Put the `--data-dir` of an `up` command line into the environment, for this process and
    its children. Other command lines change nothing. `argv[0]` is the program."""
    if argv[1:2] != ["up"]:
        return
    parser = argparse.ArgumentParser(prog="manage.py up", add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir")
    chosen = parser.parse_known_args(argv[2:])[0].data_dir
    if chosen:
        os.environ["DATA_DIR"] = os.path.abspath(chosen)
