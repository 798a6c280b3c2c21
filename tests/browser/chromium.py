"""The Chromium of this machine."""

import shutil

__all__ = ["HOW_TO_GET_IT", "find"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET_IT = "No Chromium on PATH: install one (Debian: chromium)."


def find() -> str | None:
    """Its path; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)
