"""Where a request comes from: a login is locked by name and address."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest

__all__ = ["client_address"]


def client_address(request: HttpRequest) -> str | None:
    """The address that the outermost of our proxies (`PROXIES`) has seen.

    Each adds the one that it sees at the end of X-Forwarded-For; what stands before those, the
    client may have written itself. A header that says less than it should is not believed.
    """
    proxies: int = settings.PROXIES
    seen = request.headers.get("X-Forwarded-For", "").split(",")
    if 0 < proxies <= len(seen):
        address = seen[-proxies].strip()
        try:
            return str(ip_address(address))
        except ValueError:
            pass
    return request.META.get("REMOTE_ADDR")  # none on a Unix socket
