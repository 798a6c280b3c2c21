"""The units of systemd and the manifests of Kubernetes say what docker-compose.yml says."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client

from mainproj.environment import env
from monitor.probe_paths import HEALTH
from roles import health
from tests.deploy.compose import Compose, dotenv, seconds
from tests.deploy.conftest import DOCKERFILE, ROOT
from tests.deploy.dockerfile import NOBODY, instructions
from tests.deploy.stack import stop_grace

SYSTEMD, KUBERNETES = ROOT / "deploy" / "systemd", ROOT / "deploy" / "kubernetes"
DECLARED = {each.name for each in env.declared}
ROLES = ["migrate", "web", "worker"]


def objects() -> Iterator[dict[str, Any]]:
    for path in sorted(KUBERNETES.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def named(kind: str, name: str) -> dict[str, Any]:
    [found] = [o for o in objects() if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def pod(role: str) -> dict[str, Any]:
    kind = "Job" if role == "migrate" else "Deployment"
    spec: dict[str, Any] = named(kind, f"parentchild-{role}")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_runs_what_compose_runs(role: str, compose: Compose) -> None:
    service, spec = compose.services[role], pod(role)
    [container] = spec["containers"]

    assert container["args"] == service.command
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (
        NOBODY,
        NOBODY,
    )
    safe = container["securityContext"]
    assert safe["readOnlyRootFilesystem"] is service.raw["read_only"]
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    shared = {volume.split(":")[1] for volume in service.raw["volumes"]}
    assert mounted == {*service.raw["tmpfs"], *(shared if role != "migrate" else ())}
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in spec["volumes"]
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_pods_variables_are_ones_that_are_read(role: str, compose: Compose) -> None:
    [container] = pod(role)["containers"]
    given = {each["name"] for each in container.get("env", [])}
    for source in container["envFrom"]:
        [(reference, target)] = source.items()
        kind = {"configMapRef": "ConfigMap", "secretRef": "Secret"}[reference]
        found = named(kind, target["name"])
        given |= (found.get("data") or found["stringData"]).keys()

    assert given - DECLARED == set()
    assert compose.services[role].raw["environment"].keys() - given == set()


def test_a_pods_secrets_are_not_in_the_files() -> None:
    secret = named("Secret", "parentchild")["stringData"]

    assert (secret["SECRET_KEY"], secret["DATABASE_URL"]) == ("", "")


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_a_probe_of_the_web_server_is_answered(probe: str) -> None:
    """With hosts named in the settings, as nobody has logged in, and over plain http."""
    [container] = pod("web")["containers"]
    get = container[probe]["httpGet"]
    [host] = get["httpHeaders"]

    assert get["port"] == container["ports"][0]["containerPort"] == settings.WEB_PORT
    assert host == {
        "name": "Host",
        "value": named("ConfigMap", "parentchild")["data"]["ALLOWED_HOSTS"],
    }
    assert get["path"] == f"/{HEALTH}"
    assert Client().get(get["path"]).status_code == 200


def test_the_workers_probe_is_composes(compose: Compose) -> None:
    [container] = pod("worker")["containers"]

    probe = container["readinessProbe"]
    assert probe["exec"]["command"] == compose.services["worker"].healthcheck
    assert probe["periodSeconds"] == seconds(of_image("interval"))
    assert probe["timeoutSeconds"] == seconds(of_image("timeout"))
    assert "livenessProbe" not in container


def test_the_health_checks_times_stand_in_the_dockerfile(compose: Compose) -> None:
    """What compose does not say of a health check, an engine takes from the image."""
    assert seconds(of_image("timeout")) > health.TIMEOUT
    for role in ("web", "worker"):
        assert compose.services[role].raw["healthcheck"].keys() == {"test"}


@pytest.mark.parametrize("role", ["web", "worker"])
def test_a_stop_may_take_the_same_time_everywhere(role: str, compose: Compose) -> None:
    [unit] = [path for path in units() if f"-{role}" in path.name]

    grace = stop_grace(compose.services[role])

    assert pod(role)["terminationGracePeriodSeconds"] == grace
    assert value(unit, "TimeoutStopSec") == str(grace)


def of_image(option: str) -> str:
    """An option of the Dockerfile's HEALTHCHECK."""
    [check] = [rest for name, rest in instructions(DOCKERFILE.read_text()) if name == "HEALTHCHECK"]
    return check.partition(f"--{option}=")[2].split()[0]


def test_services_lead_to_pods() -> None:
    for name, port in (("parentchild-web", 8000), ("parentchild-redis", 6379)):
        service = named("Service", name)["spec"]
        kind = "Deployment" if name.endswith("web") else "StatefulSet"
        template = named(kind, name)["spec"]["template"]
        [container] = template["spec"]["containers"]

        assert service["selector"] == template["metadata"]["labels"]
        assert service["ports"][0].get("targetPort", service["ports"][0]["port"]) == port
        assert container["ports"] == [{"containerPort": port}]
    paths = named("Ingress", "parentchild")["spec"]["rules"][0]["http"]["paths"]
    assert paths[0]["backend"]["service"]["name"] == "parentchild-web"


def units() -> list[Path]:
    return sorted(SYSTEMD.glob("*.service"))


def value(unit: Path, key: str) -> str:
    [found] = re.findall(rf"^{key}=(.+)$", unit.read_text(), re.M)
    return str(found)


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_runs_what_compose_runs(role: str, compose: Compose) -> None:
    [unit] = [path for path in units() if f"-{role}" in path.name]

    command = value(unit, "ExecStart").split()

    assert command == [
        *("/opt/parentchild/.venv/bin/python", "manage.py"),
        *compose.services[role].command,
    ]


def test_a_units_variables_are_ones_that_are_read() -> None:
    example = dotenv((SYSTEMD / "environment.example").read_text())
    own = re.findall(r"^Environment=(\w+)=", "".join(u.read_text() for u in units()), re.M)

    assert {*example, *own} - DECLARED == set()
    assert example["SECRET_KEY"] == ""


def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    """With this Python, and this user, in the place of those that it would not find here."""
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("there is no `systemd-analyze` on PATH")
    for unit in units():
        text = unit.read_text().replace("/opt/parentchild/.venv/bin/python", sys.executable)
        text = text.replace("WorkingDirectory=/opt/parentchild", f"WorkingDirectory={ROOT}")
        name = unit.name.replace("@", "@1")
        (tmp_path / name).write_text(text)
        told = subprocess.run(
            [verifier, "verify", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        said = [line for line in told.stderr.splitlines() if name in line]
        assert (told.returncode, said) == (0, []), told.stderr


def test_the_proxys_limit_is_above_ours() -> None:
    """Else people are told by the proxy, in its words and not in ours."""
    [limit] = re.findall(
        r"client_max_body_size (\d+)m;", (ROOT / "deploy" / "nginx.conf").read_text()
    )
    ingress = named("Ingress", "parentchild")["metadata"]["annotations"]
    [ours] = [int(each.default) for each in env.declared if each.name == "MAX_UPLOAD_BYTES"]

    assert int(limit) * 1024**2 > ours
    assert ingress["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{limit}m"


def test_the_proxys_deadlines_are_ours() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    deadlines = dict(re.findall(r"(client_header_timeout|client_body_timeout) (\d+)s;", text))

    assert deadlines == {
        "client_header_timeout": f"{settings.WEB_HEADER_TIMEOUT:g}",
        "client_body_timeout": f"{settings.WEB_BODY_TIMEOUT:g}",
    }
