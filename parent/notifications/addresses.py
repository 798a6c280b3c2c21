"""Which addresses a webhook may be sent to: those outside the network, unless a setting allows it.

Whoever may edit rules could otherwise reach what only this machine can: databases, the metadata of
a cloud. The name is resolved once, and the connection goes to an address that was checked here, so
that a name cannot get another address in between.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Refused", "is_public", "resolve"]

GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")
NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10"),
            *("2001::/23", "3fff::/20"),
        ),
    )
)
"""Special-purpose networks that some releases of Python call global.

https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry
"""


class Refused(Exception):
    """The address is inside the network."""


def is_public(address: str) -> bool:
    """Whether the IP address is outside the network, and belongs to one machine."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if (inner := _embedded(ip)) is not None:
            return is_public(str(inner))
        if ip not in GLOBAL_UNICAST:
            return False
    special = any(ip.version == each.version and ip in each for each in NOT_PUBLIC)
    return ip.is_global and not ip.is_multicast and not special


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which a connection to this one goes."""
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The IP addresses of a host.

    Raises:
        OSError: the name cannot be resolved.
        Refused: one of them is inside the network, and `allow_private` is off.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    for address in addresses:
        if not (allow_private or is_public(address)):
            raise Refused(
                f"{host} is at {address}, which is inside the network: use an address outside, "
                "or set WORKFLOW_WEBHOOK_ALLOW_PRIVATE"
            )
    return addresses
