"""The client's address: logins are locked by name and address."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest

__all__ = ["client_address"]


def client_address(request: HttpRequest) -> str | None:
    """The client's address as the outermost of our proxies (`PROXIES`) sees it.

    Each proxy appends its peer's address to X-Forwarded-For. Entries before those may come from the
    client itself. A header with fewer entries than proxies is ignored.
    """
    proxies: int = getattr(settings, "PROXIES", None) or 0
    seen = request.headers.get("X-Forwarded-For", "").split(",")
    if 0 < proxies <= len(seen):
        address = seen[-proxies].strip()
        try:
            return str(ip_address(address))
        except ValueError:
            pass
    return request.META.get("REMOTE_ADDR")  # None on a Unix socket
