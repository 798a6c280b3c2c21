"""The roles start from any working directory, as systemd and cron call them."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.quickstart.machines import environment
from tests.waiting import PATIENCE

STARTED = {"web": "Listening at", "worker": " ready."}


@pytest.mark.parametrize("role", STARTED)
def test_a_role_starts_from_elsewhere(role: str, tmp_path: Path, broker_url: str) -> None:
    places = {"DATA_DIR": str(tmp_path), "REDIS_URL": broker_url, "LOCAL": "on"}
    places |= {"WEB_PROCESSES": "1", "WORKER_CONCURRENCY": "1"}
    options = {"GUNICORN_CMD_ARGS": "--bind 127.0.0.1:0", "LOG_FORMAT": "text", "PYTHONPATH": ""}
    manage, environ = [sys.executable, str(ROOT / "manage.py")], environment(**places, **options)
    subprocess.run([*manage, "migrate", "-v", "0"], cwd=tmp_path, env=environ, check=True)
    running = subprocess.Popen(
        [*manage, role],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    alarm = threading.Timer(PATIENCE, running.kill)
    alarm.start()
    with running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if STARTED[role] in line:
                break
        running.terminate()
        alarm.cancel()

    assert STARTED[role] in lines[-1], "".join(lines)
