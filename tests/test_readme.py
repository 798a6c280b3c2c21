"""The README and the docs: their code works, their links lead somewhere, promises have tests."""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from parent import Step
from parent.definition.workflow import registry
from parent.errors import InvalidParams
from parent.inline import run_inline
from tests.children.celery_app import restored_tasks

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
SECTION = re.compile(r"^## \d+\. ", re.M)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """The files of the README's first workflow, on the path."""
    (tmp_path / "shop").mkdir()
    found = re.findall(r"`(shop/\w+\.py)` - .*?```python\n(.*?)```", README, re.S)
    files = {name: tmp_path / name for name, _ in found}
    for name, code in found:
        files[name].write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    with restored_tasks():
        yield files
    for name in ("shop", "shop.tasks", "shop.workflows"):
        sys.modules.pop(name, None)


@pytest.mark.django_db
def test_the_first_workflow(shop: dict[str, Path]) -> None:
    workflows, tasks = import_module("shop.workflows"), import_module("shop.tasks")

    assert tasks.count_orders(year=2026) == {"orders": 365}
    with pytest.raises(InvalidParams, match="greater than or equal to 2000"):
        run_inline(workflows.yearly_report, year=1999)
    run = run_inline(workflows.yearly_report, year=2026)

    assert (run.state, run.result) == ("SUCCESS", "365 orders in 2026")


def code_of(section: int) -> str:
    """The Python of a section of the tutorial."""
    return "".join(re.findall(r"```python\n(.*?)```", SECTION.split(TUTORIAL)[section], re.S))


@pytest.mark.django_db
def test_the_tutorials_failing_report(shop: dict[str, Path]) -> None:
    tasks = shop["shop/tasks.py"]
    tasks.write_text(
        tasks.read_text().split('@child_task(name="shop.write_report")')[0] + code_of(4)
    )

    run = run_inline(import_module("shop.workflows").yearly_report, year=2001)

    assert run.error == "Error in write_report: there are no orders before 2002"
    assert "*Error in write_report: there are no orders\nbefore 2002*" in TUTORIAL


def test_the_tutorials_retries(shop: dict[str, Path]) -> None:
    step = eval(code_of(5), {"Step": Step, "write_report": "shop.write_report"})

    assert step.retrying.retries == 3


@pytest.mark.django_db
def test_the_tutorials_test(shop: dict[str, Path]) -> None:
    names: dict[str, Any] = {}
    exec(code_of(6), names)

    names["test_a_year_has_its_orders"](db=None)


PAGES = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_has_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()

    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} == set(
        re.findall(r"\((\w[\w-]*\.md)\)", index)
    )


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) < 120


PROMISES = (ROOT / "docs/promises.md").read_text().split("\n## ")[0]


@pytest.mark.parametrize("row", re.findall(r"^\| (?!promise|---).*", PROMISES, re.M))
def test_a_promise_links_to_the_tests_that_show_it(row: str) -> None:
    linked = [(ROOT / "docs" / path).resolve() for path in re.findall(r"\]\(([^)]+)\)", row)]
    tests = [path.read_text() for path in linked if path.name.startswith("test_")]

    assert tests, "it links to no tests"
    assert [path for path in linked if not path.exists()] == []
    for start in re.findall(r"`(test_\w+?)(?:\.\.\.)?`", row):
        assert any(f"def {start}" in text for text in tests), start


def test_every_test_of_a_fault_stands_beside_a_promise() -> None:
    faults = sorted(path.name for path in (ROOT / "tests" / "faults").glob("test_*.py"))

    assert [name for name in faults if f"(../tests/faults/{name})" not in PROMISES] == []
