"""Where Chromium is installed."""

import shutil

__all__ = ["HOW_TO_INSTALL", "find"]

# The same engine without the browser around it comes first: it takes half the processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
HOW_TO_INSTALL = "No Chromium on PATH: install one (Debian: chromium-headless-shell)."


def find() -> str | None:
    """The path of its program; None when it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)
