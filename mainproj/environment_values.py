"""What a variable's text may be, by kind. Each function raises ValueError with the reason."""

import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "LAST_PORT",
    "address",
    "apps",
    "database",
    "flag",
    "host",
    "module_of",
    "number",
    "origin",
    "require_text",
    "server",
    "split",
]

DATABASES = ("django.db.backends.postgresql", "django.db.backends.sqlite3")
ON, OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
NAME = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]"
"""A host as browsers send it."""
HOST = re.compile(rf"\*|\.?(?:{NAME})", re.IGNORECASE)
ORIGIN = re.compile(rf"(https?)://((?:\*\.)?(?:{NAME}))(?::([0-9]{{1,5}}))?", re.IGNORECASE)
DEFAULT_PORTS = {"http": "80", "https": "443"}
LAST_PORT = 65_535
OWN_LABEL = re.compile(r"^\s+label\b", re.MULTILINE)
NUMBERED = ("redis", "rediss", "sentinel")
"""Servers whose databases have numbers."""


def require_text(value: str) -> None:
    """Raise if there are bytes in it that are not text: URLs, logs and databases take none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not text in UTF-8") from None


def split(value: str) -> list[str]:
    """The words of a list, separated by commas."""
    return [word.strip() for word in value.split(",") if word.strip()]


def flag(value: str) -> bool:
    if value.lower() not in ON + OFF:
        raise ValueError("it is neither on nor off")
    return value.lower() in ON


def number(value: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    digits = value.isascii() and value.isdigit()
    # Python refuses to read thousands of digits, in words of its own.
    if digits and (len(value.lstrip("0")) > len(str(most)) or int(value) > most):
        raise ValueError(f"it is more than {most:,}")
    if not (digits and int(value) >= least):
        raise ValueError(f"it is not a whole number from {least} up")
    return int(value)


def host(value: str) -> str:
    """A name or an address, as Django compares it with what browsers send."""
    if not HOST.fullmatch(value):
        raise ValueError(
            f"{value} is not a name or address alone, without scheme, port and path, in ASCII"
        )
    return value.lower()


def address(value: str) -> str:
    """Where a server listens: an address, of IPv6 without brackets, or a name."""
    inside = value.removeprefix("[").removesuffix("]")
    with suppress(ValueError):
        return str(ip_address(inside))
    if value != inside or not re.fullmatch(NAME, value, re.IGNORECASE):
        raise ValueError("it is not an address or name of this machine, without scheme and port")
    return value


def origin(value: str, *, wildcards: bool) -> str:
    """A scheme, a host and a port, as browsers send them."""
    found = ORIGIN.fullmatch(value)
    if not found or int(found[3] or 0) > LAST_PORT or ("*" in value and not wildcards):
        raise ValueError(f"{value} is not a scheme and host")
    scheme, name, port = found[1].lower(), found[2].lower(), found[3]
    return f"{scheme}://{name}" + (f":{port}" if port and port != DEFAULT_PORTS[scheme] else "")


def apps(value: str, beside: Sequence[str]) -> list[str]:
    """Django apps, each a module or the path of an `AppConfig`; none of those `beside` them."""
    found = split(value)
    labels = {app.rpartition(".")[2]: app for app in beside}
    for app in found:
        if found.count(app) > 1:
            raise ValueError(f"{app} is there twice")
        if app in beside:
            raise ValueError(f"{app} is installed without it")
        name = app.rpartition(".")[2]
        # Of a class only the module is looked for: `find_spec` of the class would import it.
        if name[:1].isupper() and name != app:
            module = module_of(app)
            source = _source(module)
            if source is not None and not re.search(rf"\b{re.escape(name)}\b", source):
                raise ValueError(f"there is no {name} in {module}")
            package = module.rpartition(".")[0]
        else:
            package = module_of(f"{app}.")
            source = _source_of_config(package)
        label = package.rpartition(".")[2]
        # Django says so too, but not what to do.
        if not OWN_LABEL.search(source or "") and (other := labels.setdefault(label, app)) != app:
            raise ValueError(
                f"{app} has the label of {other}, {label!r}: give the AppConfig of yours another "
                "`label`"
            )
    return found


def module_of(path: str) -> str:
    """The module in the path of a class."""
    module = path.rpartition(".")[0]
    if not _is_module(module):
        raise ValueError(f"there is no module {module or path}: is it installed, or on PYTHONPATH")
    return module


def database(value: str) -> dict[str, Any]:
    """Django's settings of a PostgreSQL or SQLite database, from a URL."""
    found: dict[str, Any] = {}
    # django-environ only warns about a URL that it does not understand, and returns a part of it.
    # The ValueError of urllib may quote the password.
    with (
        warnings.catch_warnings(action="ignore"),
        suppress(ValueError, KeyError, ImproperlyConfigured),
    ):
        found = environ.Env.db_url_config(value)
    if found.get("ENGINE") not in DATABASES:
        raise ValueError("it is not a URL of a PostgreSQL or SQLite database")
    if not (found["NAME"] or "service" in found.get("OPTIONS", {})):
        raise ValueError("it has no name of a database")
    return found


def server(value: str, schemes: Sequence[str]) -> str:
    """The URL of a server, or several with `;` in between, as Celery takes them."""
    for each in value.split(";"):
        scheme, colon, _ = each.partition("://")
        if not (scheme and colon):
            raise ValueError("it is not a URL")
        if schemes and scheme not in schemes:
            raise ValueError(f"its scheme is none of {', '.join(schemes)}")
        parts = _parts(each)
        if scheme in NUMBERED and not re.fullmatch(r"/?[0-9]{0,9}", parts.path, re.ASCII):
            raise ValueError("it has no number of a database behind the last /")
        if scheme == "redis+socket" and (parts.netloc or not parts.path.strip("/")):
            raise ValueError("it has no absolute path of a socket behind ://")
    return value


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # which may quote the password
        raise ValueError(f"it has no host and port, from 1 to {LAST_PORT:,}") from None
    return parts


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError as exc:
        if exc.name and not f"{name}.".startswith(f"{exc.name}."):
            raise  # of what a package above it imports
        return False
    except ValueError:
        return False


def _source(module: str) -> str | None:
    """The module's text: it is imported when Django is ready for it."""
    spec = find_spec(module)
    source: str | None = getattr(spec and spec.loader, "get_source", lambda _: None)(module)
    return source


def _source_of_config(package: str) -> str | None:
    """The text of its module `apps`, found without importing the package."""
    spec = find_spec(package)
    for place in (spec and spec.submodule_search_locations) or []:
        if (path := Path(place, "apps.py")).is_file():
            return path.read_text(errors="replace")
    return None
