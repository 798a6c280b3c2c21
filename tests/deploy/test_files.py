"""What the files of a deployment say, beside what the code reads."""

import re

import pytest

from mainproj.environment import env
from parent.conf import DEFAULTS
from tests.deploy.compose import Compose, Unset, dotenv
from tests.deploy.conftest import COMPOSE, DOCKERFILE, ROOT, variables
from tests.deploy.dockerfile import instructions
from tests.deploy.stack import stop_grace

OURS = ["migrate", "web", "worker"]
SECRETS = ["SECRET_KEY", "POSTGRES_PASSWORD"]
OF_COMPOSE = {"POSTGRES_PASSWORD", "PUBLISH", "TAG", "WORKER_STOP_GRACE"}
"""Variables of .env that compose alone reads."""
OF_PYTHON = {"HOME", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}

DECLARED = {each.name: each for each in env.declared}


@pytest.mark.parametrize("name", [*SECRETS, "ALLOWED_HOSTS"])
def test_compose_refuses_to_start_without_it(name: str) -> None:
    with pytest.raises(Unset, match=rf"{name}: Write {name} into \.env, for example"):
        Compose(COMPOSE, variables() | {name: ""})


def test_the_example_has_no_secret() -> None:
    example = dotenv((ROOT / ".env.example").read_text())

    assert {name: example[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")


def test_every_variable_is_one_that_is_read(compose: Compose) -> None:
    text = (ROOT / ".env.example").read_text()
    commented = dotenv(text.replace("\n# ", "\n"))
    example = {name for name in commented if name.isupper()}
    of_image = {
        word.partition("=")[0]
        for name, rest in instructions(DOCKERFILE.read_text())
        if name == "ENV"
        for word in rest.split()
    }
    given = {name for ours in OURS for name in compose.services[ours].raw["environment"]}

    assert example - DECLARED.keys() - OF_COMPOSE == set()
    assert of_image - DECLARED.keys() - OF_PYTHON == set()
    assert given - DECLARED.keys() == set()


def test_a_value_that_is_commented_out_is_the_default(compose: Compose) -> None:
    text = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^# (WORKFLOW_\w+_GRACE)=(.+)$", text, re.M))

    assert shown == {name: DECLARED[name].default for name in shown} != {}
    grace = compose.services["worker"].raw["stop_grace_period"]
    assert f"# WORKER_STOP_GRACE={grace}\n" in text


def test_ours_are_one_image_that_can_write_nowhere_else(compose: Compose) -> None:
    for name in OURS:
        raw = compose.services[name].raw
        assert (raw["read_only"], raw["cap_drop"]) == (True, ["ALL"])
        assert raw["tmpfs"] == ["/tmp"], "uploads of a size go there"
        assert (raw["image"], raw["build"]) == ("parentchild:latest", ".")


def test_all_come_back_and_only_the_web_service_is_published(compose: Compose) -> None:
    for name, service in compose.services.items():
        assert service.raw["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")
        assert "container_name" not in service.raw, "it could not be scaled"
    published = {
        name: each.raw["ports"] for name, each in compose.services.items() if "ports" in each.raw
    }
    port = DECLARED["WEB_PORT"].default
    assert published == {"web": [f"127.0.0.1:8000:{port}"]}
    assert ("EXPOSE", port) in instructions(DOCKERFILE.read_text())


def test_what_is_kept_is_on_a_volume(compose: Compose) -> None:
    mounted = {name: each.raw.get("volumes") for name, each in compose.services.items()}

    assert mounted["web"] == mounted["worker"] == ["media:/media"]
    assert mounted["postgres"] == ["postgres:/var/lib/postgresql/data"]
    assert mounted["redis"] == ["redis:/data"]
    assert {*compose.raw["volumes"]} == {"postgres", "redis", "media"}
    assert compose.services["redis"].command[:3] == ["redis-server", "--appendonly", "yes"]


def test_a_worker_has_more_time_to_stop_than_it_takes(compose: Compose) -> None:
    grace = DEFAULTS["WORKFLOW_SHUTDOWN_GRACE"]

    assert grace is not None
    assert stop_grace(compose.services["worker"]) >= grace + 15
