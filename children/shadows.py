"""Finds a folder or module of a project that has the name of one of our packages.

Python takes the first that it finds, and a project's own folder comes before site-packages.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

__all__ = ["PACKAGES", "refuse_shadows", "shadows"]

PACKAGES = ("children", "parent", "monitor")
OURS = Path(__file__).resolve().parent.parent


def shadows() -> Iterator[tuple[str, Path]]:
    """The installed apps that are not ours, though they have our names; and where they are."""
    for name in PACKAGES:
        if not any(app.name.split(".")[0] == name for app in apps.get_app_configs()):
            continue
        spec = find_spec(name)
        found = spec and (spec.origin or next(iter(spec.submodule_search_locations or []), None))
        if found and OURS not in (path := Path(found).resolve()).parents[:2]:
            yield name, path.parent if path.name == "__init__.py" else path


def refuse_shadows() -> None:
    """Stop the start, which would fail later with an error that names neither.

    Raises:
        ImproperlyConfigured: a package of ours is hidden.
    """
    for name, path in shadows():
        raise ImproperlyConfigured(
            f"{path} hides the package {name!r} of parentchild, which is in {OURS}. Both have the "
            f"same name: rename yours."
        )
