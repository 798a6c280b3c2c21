"""Which package may import which, and how large one may be: read from the source.

import-linter checks the order of packages but not their size, so it would not replace this file.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

APPS = ["children", "parent", "monitor"]
"""Lowest first: each may import those before it."""
SERVICE = ["mainproj", "roles", "quickstart", "chaos"]
"""What is around the apps. No app imports it."""

LAYERS = {
    "parent": [
        *(
            "errors",
            "conf",
            "setting_names",
            "setting_values",
            "signals",
            "models",
            "decisions",
            "store",
        ),
        "definition",
        *("telemetry", "messages", "notifications", "runs", "logs", "deletion", "schedules"),
        *("watch", "worker", "operations"),
        *("inline", "engine", "checks", "project_checks", "management"),
        *("admin", "apps", "pytest_plugin"),
    ],
    "monitor": [
        *("probe_paths", "texts", "conf", "models", "tokens", "policy", "apply_policy"),
        *("http", "polling", "runs", "api", "celery_progress", "pages", "ops"),
        *("templatetags", "checks", "admin", "apps", "urls", "management"),
    ],
}
"""The packages and modules of an app, lowest first: each may import those before it."""

MOST_MODULES = 12


@cache
def modules(app: str) -> dict[str, Path]:
    """The files of an app by module name; a package stands for its `__init__`."""
    paths = [path for path in (ROOT / app).rglob("*.py") if path.parent.name != "migrations"]
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in paths}
    return {".".join(name).removesuffix(".__init__"): path for path, name in parts.items()}


@cache
def known_modules() -> set[str]:
    return {name for app in [*APPS, *SERVICE] for name in modules(app)}


@cache
def imports(app: str) -> dict[str, set[str]]:
    """The modules of all apps that each module of this app imports, anywhere in its file."""
    known = known_modules()
    return {name: known & {*imported(path)} - {name} for name, path in modules(app).items()}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known_modules() else node.module


def layer(module: str) -> int:
    """The place of a module in its app; the app's own `__init__`, a facade, is the highest."""
    app, _, rest = module.partition(".")
    return LAYERS[app].index(rest.partition(".")[0]) if rest else len(LAYERS[app])


@pytest.mark.parametrize("app", [*APPS, *SERVICE])
def test_modules_import_each_other_in_no_circle(app: str) -> None:
    try:
        TopologicalSorter(imports(app)).prepare()
    except CycleError as exc:
        pytest.fail(" <- ".join(exc.args[1]))


@pytest.mark.parametrize("app", APPS)
def test_an_app_imports_only_those_below_it(app: str) -> None:
    below = APPS[: APPS.index(app) + 1]

    wrong = {
        f"{module} -> {each}"
        for module, targets in imports(app).items()
        for each in targets
        if each.partition(".")[0] not in below
    }

    assert wrong == set()


@pytest.mark.parametrize("app", ["parent", "monitor"])
def test_a_package_imports_only_those_below_it(app: str) -> None:
    wrong = {
        f"{module} -> {each}"
        for module, targets in imports(app).items()
        for each in targets
        if each.partition(".")[0] == app and layer(each) > layer(module)
    }

    assert wrong == set()


@pytest.mark.parametrize("app", APPS)
def test_a_package_has_few_modules(app: str) -> None:
    files = list(modules(app).values())
    sizes = {
        str(path.parent.relative_to(ROOT)): sum(
            each.parent == path.parent and each.name != "__init__.py" for each in files
        )
        for path in files
    }

    assert {name: size for name, size in sizes.items() if size > MOST_MODULES} == {}
