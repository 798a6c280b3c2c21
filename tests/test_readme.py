"""What the README says: its three files make a workflow, and its promises name tests that exist."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from parent.definition.workflow import registry
from parent.inline import run_inline
from tests.children.celery_app import restored_tasks

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.django_db
def test_a_workflow_in_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop").mkdir()
    for name, code in re.findall(r"`(shop/\w+\.py)` - .*?```python\n(.*?)```", README, re.S):
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    with restored_tasks():
        workflows, tasks = import_module("shop.workflows"), import_module("shop.tasks")

        assert tasks.count_orders(year=2026) == {"orders": 365}
        run = run_inline(workflows.yearly_report, year=2026)

    for name in ("shop", "shop.tasks", "shop.params", "shop.workflows"):
        sys.modules.pop(name)
    assert (run.state, run.result) == ("SUCCESS", "365 orders in 2026")


PROMISES = README.split("## Promises")[1].split("\n## ")[0]


@pytest.mark.parametrize("row", re.findall(r"^\| (?!promise|---).*", PROMISES, re.M))
def test_a_promise_links_to_the_tests_that_show_it(row: str) -> None:
    linked = [ROOT / path for path in re.findall(r"\]\(([^)]+)\)", row)]
    tests = [path.read_text() for path in linked if path.name.startswith("test_")]

    assert tests, "it links to no tests"
    assert [path for path in linked if not path.exists()] == []
    for start in re.findall(r"`(test_\w+?)(?:\.\.\.)?`", row):
        assert any(f"def {start}" in text for text in tests), start


def test_every_test_of_a_fault_stands_beside_a_promise() -> None:
    faults = sorted(path.name for path in (ROOT / "tests" / "faults").glob("test_*.py"))

    assert [name for name in faults if f"(tests/faults/{name})" not in PROMISES] == []
