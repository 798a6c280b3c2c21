"""The web server itself, as a process: what a client on its socket gets."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.services import free_port
from tests.waiting import until

LIMIT = 4_000_000


lines: list[str] = []
"""What the server said while it started."""


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
    }
    command = [sys.executable, "-m", "gunicorn", "--config", f"python:{request.param}"]
    command += ["mainproj.wsgi:application"]
    command += ["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "4"]
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
    """More than the buffers between the two hold: one that is cut off sees a broken pipe."""
    size = 4 * LIMIT
    headers = {"Content-Type": "application/json", "Content-Length": str(size)}

    for _ in range(2):  # on the same connection
        connection.request("POST", "/workflows/noops/", io.BytesIO(b"x" * size), headers)
        answer = connection.getresponse()

        problem = json.load(answer)
        assert (answer.status, problem["status"]) == (413, 413)
        assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_one_that_would_send_far_too_much_is_not_listened_to(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            b"POST /workflows/noops/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9999999999999\r\n\r\n{"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


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
    said = [json.loads(line) for line in lines if "/healthz" in line]
    assert (said[0]["request_id"], said[0]["message"]) == ("first", "GET /healthz 200")
    assert [line["request_id"] for line in said] == ["first", "second"]
    assert "secret-first" not in "".join(lines)
