"""The web server as a process, tested through its socket."""

import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.services import free_port
from tests.waiting import until

LIMIT = 4_000_000


lines: list[str] = []
"""The server's log from its start."""


@pytest.fixture(scope="module", params=["mainproj.gunicorn", "roles.web_server"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a gunicorn with small limits, without a database: of `up`, and of `web`."""
    port = free_port()
    lines.clear()
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "mainproj.settings",
        "SECRET_KEY": "only-for-tests",
        "LOCAL": "on",
        "LOG_FORMAT": "json",
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('server')}/none.sqlite3",
        "MAX_UPLOAD_BYTES": str(LIMIT),
        "MAX_BODY_BYTES": str(LIMIT),
        "WEB_PROCESSES": "1",
        "HSTS_SECONDS": "60",
    }
    command = [sys.executable, "-m", "gunicorn", "--config", f"python:{request.param}"]
    command += ["mainproj.wsgi:application"]
    command += ["--bind", f"127.0.0.1:{port}", "--threads", "4"]
    process = subprocess.Popen(
        [*command, "--no-control-socket"], env=environ, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    reader = threading.Thread(target=lines.extend, args=[process.stderr], daemon=True)
    reader.start()
    until("the server", lambda: "Booting worker" in "".join(lines))
    yield port
    process.terminate()
    process.wait(timeout=30)
    reader.join()
    process.stderr.close()


@pytest.fixture
def connection(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    yield connection
    connection.close()


def test_a_client_that_sends_all_first_reads_that_it_was_too_much(
    connection: HTTPConnection,
) -> None:
    """More than the socket buffers hold: a client that is cut off gets a broken pipe."""
    size = 4 * LIMIT
    headers = {"Content-Type": "application/json", "Content-Length": str(size)}

    for _ in range(2):  # on the same connection
        connection.request("POST", "/workflows/noops/", io.BytesIO(b"x" * size), headers)
        answer = connection.getresponse()

        problem = json.load(answer)
        assert (answer.status, problem["status"]) == (413, 413)
        assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_a_far_too_large_body_is_not_read(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            b"POST /workflows/noops/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9999999999999\r\n\r\n{"
        )
        assert everything(client).startswith(b"HTTP/1.1 413 ")


def everything(client: socket.socket) -> bytes:
    """All bytes that the server sends until it closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


REFUSED: list[Any] = [
    pytest.param("HTTP/1.1", "Content-Length: 300000000", 413, id="it is too large"),
    pytest.param("HTTP/1.1", f"Content-Length: {LIMIT + 1}", 413, id="it is a byte too large"),
    pytest.param("HTTP/1.1", "Transfer-Encoding: chunked", 411, id="it is in chunks"),
    pytest.param("HTTP/1.0", "Transfer-Encoding: chunked", 411, id="it is in chunks of HTTP/1.0"),
    pytest.param(
        "HTTP/1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked", 411, id="it is both"
    ),
    pytest.param("HTTP/1.1", "Content-Length: " + "9" * 5000, 400, id="its length is absurd"),
    pytest.param("HTTP/1.1", "Content-Length: -1", 400, id="its length is negative"),
    pytest.param(
        "HTTP/1.1", "Content-Length: 300000000\r\nExpect: 100-continue", 413, id="it asks first"
    ),
]


@pytest.mark.parametrize(("version", "headers", "status"), REFUSED)
def test_a_refused_body_is_not_waited_for_and_closes_the_connection_where(
    port: int, version: str, headers: str, status: int
) -> None:
    """Nor is it taken for another request."""
    hello = f"POST /workflows/noops/ {version}\r\nHost: localhost\r\nConnection: keep-alive\r\n"
    hello += f"{headers}\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=4) as client:
        client.sendall(hello.encode())
        said = everything(client)

    assert said.startswith(f"HTTP/{version[-3:]} {status} ".encode())
    assert said.count(b"HTTP/1.") == 1


def test_requests_sent_ahead_are_answered_in_turn(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for number in range(3):
            client.sendall(
                f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: n{number}\r\n".encode()
                + b"Connection: close\r\n" * (number == 2)
                + b"\r\n"
            )
        said = everything(client)

    assert re.findall(rb"X-Request-Id: (\w+)", said) == [b"n0", b"n1", b"n2"]


def test_a_connection_is_kept(connection: HTTPConnection) -> None:
    for _ in range(2):
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert (answer.read(), answer.will_close) == (b'{"status":"ok"}', False)


def test_a_connection_is_kept_after_an_answer_without_a_body(connection: HTTPConnection) -> None:
    """As a poll's is that finds nothing new."""
    path = "/static/monitor/task-progress.js"
    connection.request("GET", path)
    first = connection.getresponse()
    first.read()
    used = connection.sock
    for _ in range(2):
        connection.request(
            "GET", path, headers={"If-Modified-Since": first.headers["Last-Modified"]}
        )
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["Connection"]) == (304, None)

    assert connection.sock is used


@pytest.mark.parametrize(
    ("told", "secure"), [("https", True), ("http", False), ("", False)], ids=str
)
def test_a_proxy_on_this_machine_says_that_it_was_https(
    connection: HTTPConnection, told: str, secure: bool
) -> None:
    headers = {"X-Forwarded-Proto": told} if told else {}
    connection.request("GET", "/healthz", headers=headers)

    # Which Django sends to nobody who came by plain http.
    assert ("Strict-Transport-Security" in connection.getresponse().headers) is secure


def test_a_body_in_chunks_is_refused(connection: HTTPConnection) -> None:
    connection.request("POST", "/workflows/noops/", iter([b"{}"]), encode_chunked=True)

    assert connection.getresponse().status == 411


def test_the_servers_own_lines_are_of_the_projects_log(port: int) -> None:
    (booting,) = [json.loads(line) for line in lines if "Booting worker" in line]

    assert (booting["logger"], booting["level"]) == ("gunicorn.error", "info")


def test_a_request_has_one_line_and_no_secret_in_it(connection: HTTPConnection) -> None:
    for request_id in ("first", "second"):  # when the second is logged, all is said of the first
        headers = {"X-Request-ID": request_id}
        connection.request("GET", f"/healthz?sesame=secret-{request_id}", headers=headers)
        connection.getresponse().read()

    until("the second's line", lambda: '"second"' in "".join(lines))
    said = [json.loads(line) for line in lines if '"first"' in line or '"second"' in line]
    assert (said[0]["request_id"], said[0]["message"]) == ("first", "GET /healthz 200")
    assert [line["request_id"] for line in said] == ["first", "second"]
    assert "secret-first" not in "".join(lines)


CHARSETS = ["zlib", "hex", "undefined", "idna", "utf-16", "unicode_escape", "no-such", ""]


@pytest.mark.parametrize(
    "params",
    [
        *(f"charset={charset}" for charset in CHARSETS),
        *(f"charset*={charset}''%41" for charset in CHARSETS),
        *("charset*=no-such", "charset*='", "x*0*=no-such''%41; x*1=y", ";=;x=;charset"),
    ],
)
def test_an_address_is_read_in_utf_8_whatever_the_type_says(
    connection: HTTPConnection, params: str
) -> None:
    """Django fails at some of them while it makes the request, where nothing else can answer."""
    headers = {"Content-Type": f"text/plain; {params}"}
    connection.request("GET", "/healthz?q=gr%C3%B6%C3%9Fe", headers=headers)

    assert connection.getresponse().status == 200


@pytest.mark.parametrize("params", ["q*=no-such''1", "x*=undefined''%41", "x*0*=no''%41; x*1=y"])
@pytest.mark.parametrize("path", ["/healthz", "/nothing/"])
def test_whoever_accepts_what_nobody_can_read_is_answered(
    connection: HTTPConnection, path: str, params: str
) -> None:
    connection.request("GET", path, headers={"Accept": f"text/html, a/b; {params}"})

    answer = connection.getresponse()

    assert answer.status == (200 if path == "/healthz" else 404)
    assert json.load(answer)
