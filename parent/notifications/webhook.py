"""Sending one webhook: to an address that was checked, in limited time, following no redirect."""

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

from children.sanitize import clean_text
from parent.notifications.addresses import Refused, resolve
from parent.notifications.next_try import Outcome, retry_after

__all__ = ["post"]

PORTS = {"http": 80, "https": 443}


def post(
    url: str, headers: Mapping[str, str], body: bytes, *, timeout: float, allow_private: bool
) -> Outcome:
    """Post `body`. Any 2xx is a success; everything else is a failure that the outcome describes.

    No proxy of the environment is used: it would choose the address.

    Args:
        timeout: seconds for all of it, after the name is resolved.
    """
    try:
        parts = parse_url(url)
        host = str(parts.host).strip("[]")
        port = parts.port or PORTS[str(parts.scheme)]
        addresses = resolve(host, port, allow_private=allow_private)
        if parts.scheme != "https" and not allow_private:
            raise Refused("a webhook takes https, unless WORKFLOW_WEBHOOK_ALLOW_PRIVATE is set")
        return _post(parts, host, port, addresses, headers, body, time.monotonic() + timeout)
    except Refused as exc:
        return Outcome(error=str(exc))
    except (OSError, HTTPException, HTTPError, ValueError, KeyError) as exc:
        return Outcome(error=clean_text(f"{type(exc).__name__}: {exc}"))


def _post(
    parts: Url,
    host: str,
    port: int,
    addresses: list[str],
    headers: Mapping[str, str],
    body: bytes,
    until: float,
) -> Outcome:
    connection = _connect(parts, host, port, addresses, until)
    late = threading.Event()
    # A timeout of a socket is for one call: somebody who sends a byte now and then would hold it.
    watchdog = threading.Timer(max(0.0, until - time.monotonic()), _cut, (connection, late))
    watchdog.daemon = True
    watchdog.start()
    try:
        # `Host` and the certificate are of the name, the connection is to the address.
        connection.request(
            "POST", parts.request_uri, body=body, headers={"Host": str(parts.netloc), **headers}
        )
        answer = connection.getresponse()
        status, given = answer.status, {k.lower(): v for k, v in answer.headers.items()}
    except (OSError, HTTPException, HTTPError) as exc:
        if late.is_set():
            raise TimeoutError("no answer in time") from exc
        raise
    finally:
        watchdog.cancel()
        connection.close()
    if late.is_set():
        # Headers that are cut look complete.
        raise TimeoutError("no answer in time")
    if 200 <= status < 300:
        return Outcome(status=status)
    kind = "a redirect, which is not followed" if 300 <= status < 400 else "not a success"
    return Outcome(
        error=f"it answered {status}: {kind}",
        status=status,
        retry_after=retry_after(given, datetime.now(UTC)),
    )


def _connect(
    parts: Url, host: str, port: int, addresses: list[str], until: float
) -> HTTPConnection:
    """A connection to the first address that accepts one."""
    problem: Exception = OSError(f"{host} has no address")
    for address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no connection in time")
        connection = _connection(parts, host, address, port, left)
        try:
            connection.connect()
        except (OSError, HTTPError) as exc:
            connection.close()
            problem = exc
        else:
            return connection
    raise problem


def _connection(parts: Url, host: str, address: str, port: int, timeout: float) -> HTTPConnection:
    if parts.scheme == "http":
        return HTTPConnection(address, port, timeout=timeout)
    return HTTPSConnection(
        address,
        port,
        timeout=timeout,
        server_hostname=host,
        assert_hostname=host,
        ssl_context=ssl.create_default_context(),
    )


def _cut(connection: Any, late: threading.Event) -> None:
    """End what waits for the connection's socket."""
    late.set()
    with suppress(OSError, AttributeError):
        # Not SSLSocket's own method: another thread uses its TLS session.
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
