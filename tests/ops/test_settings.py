"""The settings: all of them declared, documented, and refused where they are wrong."""

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainproj.environment import env
from mainproj.settings_table import PATH, table
from parent.conf import INTERVALS
from tests.workers import fork_servers

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("children", "parent", "monitor", "mainproj", "quickstart", "examples")
OF_OTHERS = {"DJANGO_SETTINGS_MODULE", "PYTHONPATH"}  # Django's, Python's
HELPERS = {
    "children/isolation/process_state.py",
    "mainproj/environment.py",
    "mainproj/settings_table.py",
    "quickstart/local.py",
}
"""They take names from others, hand declared ones on, or put back what was there."""

BASE = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
WRONG = [
    ("LOCAL", "maybe", "LOCAL=maybe cannot be used: it is neither on nor off"),
    ("LOGIN_ATTEMPTS", "0", "LOGIN_ATTEMPTS=0 cannot be used: it is not a whole number from 1 up"),
    ("WORKFLOW_LEASE", "0", "WORKFLOW_LEASE=0 cannot be used: it is not a number of seconds"),
    ("WORKFLOW_LEASE", "6", "WORKFLOW_LEASE=6 cannot be used: a worker that is late"),
    ("WORKFLOW_HEARTBEAT", "-1", "WORKFLOW_HEARTBEAT=-1 cannot be used"),
    ("WORKFLOW_RETENTION", "a month", "WORKFLOW_RETENTION=a month cannot be used"),
    ("WORKFLOW_APPS", "shopp", "there is no module shopp: is it installed, or on PYTHONPATH"),
    ("WORKFLOW_POLICY", "shopp.Teams", "there is no module shopp"),
    ("WORKFLOW_APPS", "examples.main_flow", "examples.main_flow is installed without it"),
    ("WORKFLOW_APPS", "examples.csv_profle", "there is no module examples.csv_profle"),
    ("WORKFLOW_LEASE", "1e300", "WORKFLOW_LEASE=1e300 cannot be used: it is more than"),
    ("LOGIN_LOCK", "1e300", "LOGIN_LOCK=1e300 cannot be used: it is more than"),
    ("WEB_PORT", "65536", "WEB_PORT=65536 cannot be used: it is more than 65,535"),
    ("ALLOWED_HOSTS", "https://a.example", "https://a.example is not a name or address alone"),
    ("EMAIL_URL", "mail.example.com", "EMAIL_URL cannot be used: it is not a URL of a mail server"),
    (
        "EMAIL_URL",
        "http://:hush@host",
        "EMAIL_URL cannot be used: it is not a URL of a mail server",
    ),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "ENDPOINT cannot be used: it is not a URL"),
    ("REDIS_URL", "redis://:hush@host:port/0", "REDIS_URL cannot be used: it has no host and port"),
    ("CACHE_URL", "redis://:hush@host/x", "CACHE_URL cannot be used: it has no number of a"),
    ("REDIS_URL", "http://:hush@host", "REDIS_URL cannot be used: its scheme is none of"),
    ("DATABASE_URL", "mysql://u:hush@h/d", "DATABASE_URL cannot be used: it is not a URL of a"),
    ("METRICS_TOKEN", "short", "METRICS_TOKEN cannot be used: it is not 16 or more"),
    ("START_RATE", "many", "START_RATE=many cannot be used: it is not a rate"),
    ("START_RATE", "100/w", "START_RATE=100/w cannot be used: it is not a rate"),
    ("CSRF_TRUSTED_ORIGINS", "example.com", "example.com is not a scheme and host"),
    ("LOG_LEVEL", "LOUD", "it is none of DEBUG, INFO, WARNING, ERROR"),
    ("OTEL_TRACES_EXPORTER", "jaeger", "it is none of otlp, console, none"),
]


def manage(*args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return python("manage.py", *args, **environ)


def python(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A program, forked where no setting was read yet."""
    return fork_servers.without_settings.complete(*words, environ=BASE | environ, cwd=str(ROOT))


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_stops_the_start_with_name_reason_and_example(
    name: str, value: str, said: str, tmp_path: Path
) -> None:
    settings = {"SECRET_KEY": "s" * 50, "DATA_DIR": str(tmp_path), name: value}

    answer = manage("check", **settings)

    assert answer.returncode == 1
    assert said in answer.stderr
    assert f"Write, for example, {name}=" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "hush" not in answer.stderr


def test_a_missing_value_stops_the_start(tmp_path: Path) -> None:
    answer = manage("check", DATA_DIR=str(tmp_path))

    assert answer.returncode == 1
    assert "SECRET_KEY" in answer.stderr
    assert "Write, for example, SECRET_KEY=$(openssl rand -base64 48)" in answer.stderr


@pytest.mark.parametrize("role", ["web", "worker"])
def test_a_role_does_not_start_on_the_defaults_of_one_machine(role: str, tmp_path: Path) -> None:
    answer = manage(role, SECRET_KEY="s" * 50, DATA_DIR=str(tmp_path))

    assert answer.returncode == 1
    assert answer.stderr.startswith("CommandError: ALLOWED_HOSTS is not set")
    assert (
        "Write, for example, DATABASE_URL=postgres://user:password@host:5432/name" in answer.stderr
    )
    assert "Write, for example, REDIS_URL=redis://" in answer.stderr
    assert "SECRET_KEY" not in answer.stderr


def test_nor_with_the_key_that_up_has_made(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("s" * 50)

    answer = manage("web", DATA_DIR=str(tmp_path))

    assert "Write, for example, SECRET_KEY=$(openssl rand -base64 48)" in answer.stderr


def test_the_first_migration_says_which_database_is_missing(tmp_path: Path) -> None:
    answer = manage("migrate", SECRET_KEY="s" * 50, DATA_DIR=str(tmp_path / "none"))

    assert answer.returncode == 1
    assert "DATABASE_URL is not set, and a deployment needs it" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_worker_says_it_as_well(tmp_path: Path) -> None:
    settings = {"SECRET_KEY": "s" * 50, "DATA_DIR": str(tmp_path), "WORKFLOW_LEASE": "soon"}

    answer = python("-m", "celery", "-A", "mainproj", "worker", **settings)

    assert answer.returncode != 0
    assert "Write, for example, WORKFLOW_LEASE=30" in answer.stderr + answer.stdout


def test_each_example_is_a_value_that_is_taken(tmp_path: Path) -> None:
    examples = {each.name: each.example for each in env.declared}
    for name in ("LOCAL", "WORKFLOW_APPS", "WORKFLOW_POLICY", "OTEL_TRACES_EXPORTER"):
        del examples[name]  # on this machine alone, or with modules that are not here
    del examples["OTEL_EXPORTER_OTLP_ENDPOINT"]
    secrets = {"METRICS_TOKEN": "0" * 64, "SECRET_KEY": "s" * 64}

    answer = manage("shell", "-c", "print('read')", **(examples | secrets))

    assert answer.returncode == 0, answer.stderr
    assert "read" in answer.stdout


def test_a_deployment_with_the_least_settings_is_checked_clean(tmp_path: Path) -> None:
    settings = {
        "SECRET_KEY": "Xq3" + "abcdefghijklmnopqrstuvwxyz0123456789" * 2,
        "ALLOWED_HOSTS": "flows.example.com",
        "DATA_DIR": str(tmp_path),
    }

    answer = manage("check", "--deploy", "--fail-level", "WARNING", **settings)

    assert answer.returncode == 0, answer.stderr
    assert "no issues" in answer.stdout


def test_the_page_is_what_the_code_declares() -> None:
    assert PATH.read_text() == table(env.declared), "run: python -m mainproj.settings_table"


def test_no_variable_is_declared_twice() -> None:
    names = [each.name for each in env.declared]

    assert len(names) == len(set(names))


def test_all_that_is_read_is_declared() -> None:
    declared = {each.name for each in env.declared} | OF_OTHERS
    files = [file for program in PROGRAMS for file in (ROOT / program).rglob("*.py")]
    assert len(files) > 80

    read = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in (*files, ROOT / "manage.py")
        if str(file.relative_to(ROOT)) not in HELPERS
        for name in variables_of(ast.parse(file.read_text()))
        if name not in declared
    }

    assert read == set()


def test_what_reads_an_undeclared_variable_is_found() -> None:
    code = 'os.environ.get("A"), os.getenv("B"), os.environ["C"], "D" in os.environ, os.environ[e]'

    assert set(variables_of(ast.parse(code))) == {"A", "B", "C", "D", "(a name made elsewhere)"}


def variables_of(tree: ast.AST) -> Iterator[str]:
    """The names of the variables that the code reads from the environment, or sets."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=_), args=[name, *_]) if is_environ(
                value
            ):
                yield text_of(name)
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[name, *_]):
                yield text_of(name)
            case ast.Subscript(value=value, slice=name) if is_environ(value):
                yield text_of(name)
            case ast.Compare(left=name, comparators=[value]) if is_environ(value):
                yield text_of(name)


def is_environ(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "(a name made elsewhere)"


def test_zero_is_offered_only_where_it_does_not_mean_the_default() -> None:
    kinds = {each.name: each.kind for each in env.declared}

    assert {kinds[name] for name in INTERVALS} == {"seconds"}
