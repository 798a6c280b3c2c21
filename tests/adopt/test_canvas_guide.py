"""docs/canvas.md, walked: its files in a new project, and what its examples print."""

import doctest
import re

from tests.adopt.conftest import Installed
from tests.adopt.test_own_project import SETTINGS, Walked, project
from tests.deploy.conftest import ROOT

__all__ = ["Installed", "project"]

GUIDE = (ROOT / "docs" / "canvas.md").read_text()
FILES = re.findall(r"`(shop/\w+\.py)`[^`]*?:\n\n```python\n(.*?)```", GUIDE, re.S)
EXAMPLES = "".join(re.findall(r"```pycon\n(.*?)```", GUIDE, re.S))
EAGER = "\nCELERY_TASK_ALWAYS_EAGER = True\nCELERY_TASK_STORE_EAGER_RESULT = True\n"


def test_the_examples_print_what_the_guide_says(project: Walked) -> None:
    assert [name for name, _ in FILES] == ["shop/tasks.py", "shop/workflows.py"]
    for name, text in FILES:
        (project.folder / name).write_text(text)
    (project.folder / "shop" / "views.py").write_text("report = lambda request: None\n")
    with (project.folder / SETTINGS).open("a") as settings:
        settings.write(EAGER)
    (project.folder / "examples.txt").write_text(EXAMPLES)
    project.manage("migrate", "--verbosity", "0")
    assert "no issues" in project.manage("check")

    run = "import doctest; print(doctest.testfile('examples.txt', module_relative=False))"
    printed = project.manage("shell", "-v", "0", "-c", run)

    number = len(doctest.DocTestParser().get_examples(EXAMPLES))
    assert f"TestResults(failed=0, attempted={number})" in printed, printed
