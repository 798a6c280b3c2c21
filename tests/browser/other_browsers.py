"""Drives WebKit and Firefox as Debian has them, by what their own drivers speak.

WebKitWebDriver speaks WebDriver over HTTP. Firefox speaks Marionette over TCP, which is what a
geckodriver would translate for it: Debian packages none. Each is a request with a JSON answer, and
a smoke needs four of them; so no library is worth its dependencies here.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.request import Request, urlopen

from tests.waiting import PATIENCE, until

__all__ = ["BROWSERS", "Browser", "missing_programs"]

ANSWER = PATIENCE
PREFERENCES = {
    "marionette.port": 0,  # any free one: it writes it into a file
    "browser.startup.page": 0,
    "browser.startup.homepage": "about:blank",
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Browser(Protocol):
    """One window."""

    def go(self, url: str) -> None: ...

    def run(self, script: str) -> Any:
        """What the body of a function returns on the page."""

    def add_cookie(self, name: str, value: str) -> None:
        """For the site of the page."""


class WebKit:
    """A session of WebKitWebDriver."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        until("WebKitWebDriver answers", self._is_ready)
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {}}})
        self._session = f"/session/{made['sessionId']}"

    def go(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str) -> Any:
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def add_cookie(self, name: str, value: str) -> None:
        cookie = {"name": name, "value": value}
        self._call("POST", f"{self._session}/cookie", {"cookie": cookie})

    def close(self) -> None:
        self._call("DELETE", self._session)

    def _is_ready(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except OSError:
            return False

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self._base + path, method=method, data=data, headers=headers)
        with urlopen(request, timeout=ANSWER) as answer:
            return json.load(answer)["value"]


class Firefox:
    """A session of Marionette."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER)
        self._answers = self._socket.makefile("rb")
        self._read()  # it says hello
        self._call("WebDriver:NewSession")

    def go(self, url: str) -> None:
        self._call("WebDriver:Navigate", url=url)

    def run(self, script: str) -> Any:
        return self._call("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def add_cookie(self, name: str, value: str) -> None:
        self._call("WebDriver:AddCookie", cookie={"name": name, "value": value})

    def close(self) -> None:
        self._socket.close()

    def _call(self, name: str, **params: Any) -> Any:
        message = json.dumps([0, 1, name, params]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, value = self._read()
        assert error is None, f"{name}: {error}"
        return value

    def _read(self) -> Any:
        size = b""
        while (byte := self._answers.read(1)) != b":":
            assert byte, "Firefox has closed the connection."
            size += byte
        return json.loads(self._answers.read(int(size)))


@contextmanager
def webkit() -> Iterator[Browser]:
    with ExitStack() as stack:
        # A WebKit without a window there is not.
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", "1440x900x24", "-nolisten", "tcp"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        stack.callback(_end, screen)
        assert screen.stdout is not None
        stack.callback(screen.stdout.close)
        display = {"DISPLAY": f":{screen.stdout.readline().strip()}", "GDK_BACKEND": "x11"}
        port = _free_port()
        driver = subprocess.Popen(
            ["WebKitWebDriver", f"--port={port}"],
            env={**os.environ, **display},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, driver)
        browser = WebKit(port)
        stack.callback(browser.close)
        yield browser


@contextmanager
def firefox() -> Iterator[Browser]:
    with ExitStack() as stack:
        profile = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))
        program = subprocess.Popen(
            [_firefox(), "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, program)
        port = profile / "MarionetteActivePort"
        until("Firefox listens", lambda: port.exists() and port.read_text().strip())
        browser = Firefox(int(port.read_text()))
        stack.callback(browser.close)
        yield browser


def _firefox() -> str:
    return next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), "firefox-esr")


def _end(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


BROWSERS: dict[str, Callable[[], Any]] = {"webkit": webkit, "firefox": firefox}
NEEDS = {"webkit": ("WebKitWebDriver", "Xvfb"), "firefox": (_firefox(),)}


def missing_programs(name: str) -> str:
    """What to install for this browser; empty if all is there."""
    gone = [program for program in NEEDS[name] if shutil.which(program) is None]
    packages = {"webkit": "webkit2gtk-driver xvfb", "firefox": "firefox-esr"}[name]
    return f"There is no {gone[0]}: install it (Debian: {packages})." if gone else ""
