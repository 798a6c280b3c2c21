"""The server follows the OpenAPI document: schemathesis tests all of it on a real server."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from parent.definition.workflow import Workflow, registry

EXAMPLES = 5
# One workflow with JSON, one with a required file, and one with every kind of field.
TRIED = ("main_flow", "csv_profile", "every_kind")


# What no schema says: which cursors there are, which fields go together, and, in a form, which
# texts are JSON.
CONFIG = """
[generation]
allow-x00 = false

[[operations]]
include-operation-id = ["list_tasks", "retry_task", "start_every_kind", "give_signal"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 304, 400, 401, 404, 409]
"""


@pytest.fixture
def document(
    owner: User, form_flow: Workflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    monkeypatch.setattr(registry, "_workflows", {name: registry.get(name) for name in TRIED})
    client, path = APIClient(), tmp_path / "openapi.yaml"
    client.force_login(owner)
    path.write_bytes(client.get("/schema/").content)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("caller", "phases"),
    [("owner", "coverage,fuzzing,stateful"), ("anonymous", "coverage")],
)
def test_every_operation_keeps_to_the_document(
    live_server: Any, document: Path, owner: User, make_run: Any, caller: str, phases: str
) -> None:
    make_run(owner)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", live_server.url),
        *("--checks", "all", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
        *("--phases", phases, "--no-color"),
    ]
    if caller == "owner":
        token = Token.objects.create(user=owner).key
        command += ["--header", f"Authorization: Token {token}"]

    tried = subprocess.run(
        command, cwd=document.parent, text=True, check=False, stdout=subprocess.PIPE
    )

    assert tried.returncode == 0, tried.stdout
