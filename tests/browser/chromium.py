"""Where Chromium is installed."""

import shutil

__all__ = ["HOW_TO_INSTALL", "find"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_INSTALL = "No Chromium on PATH: install one (Debian: chromium)."


def find() -> str | None:
    """The path of its program; None when it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)
