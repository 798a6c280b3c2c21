"""Looks at a page as it is on a phone and on a wide screen, in light and dark."""

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

__all__ = ["SHOTS", "look_at"]

SHOTS = os.environ.get("SCREENSHOTS", "")
"""A folder for screenshots; none are taken without one."""
WIDTHS = (360, 1440)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Colours do not depend on the width, nor the width on colours.
ENOUGH = [*zip(WIDTHS, SCHEMES, strict=True)]


def look_at(page: Page, find_violations: Callable[[Page], list[str]], name: str) -> None:
    """The page fits into its window, and axe finds nothing; leaves it wide and light."""
    for width, scheme in product(WIDTHS, SCHEMES) if SHOTS else ENOUGH:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        assert find_violations(page) == [], (name, width, scheme)
        if SHOTS:
            shot = Path(SHOTS) / f"{name}-{scheme}-{width}.png"
            page.screenshot(path=shot, full_page=True)
    page.set_viewport_size({"width": WIDTHS[-1], "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
