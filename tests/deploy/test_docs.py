"""The guides name files, commands and variables that there are."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from mainproj.environment import env
from tests.deploy.conftest import ROOT
from tests.deploy.test_files import OF_COMPOSE

GUIDES = [ROOT / "docs" / "deployment.md", ROOT / "docs" / "upgrading.md"]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_its_links_lead_somewhere(guide: Path) -> None:
    links = LINK.findall(guide.read_text())

    assert links
    assert [link for link in links if not (guide.parent / link).exists()] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_its_variables_are_read_and_its_commands_exist(guide: Path) -> None:
    text = guide.read_text()
    declared = {each.name for each in env.declared}
    names = {*re.findall(r"\b((?:WEB|WORKER|WORKFLOW|POSTGRES)_[A-Z_]*[A-Z])\b", text)}
    names |= {*re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", text)}
    commands = {*re.findall(r"manage\.py`? ([a-z]\w+)", text)}

    assert names - declared - OF_COMPOSE == set()
    assert commands - get_commands().keys() == set()


def test_each_fault_is_shown_by_a_test() -> None:
    guide = GUIDES[0]
    table = guide.read_text().split("## When a part fails")[1]
    rows = re.findall(r"^\| (?!what|---).*", table, re.M)

    assert len(rows) > 10
    for row in rows:
        shown = LINK.findall(row.rsplit("|", 2)[1])
        assert [Path(link).name.startswith("test_") for link in shown] == [True], row
