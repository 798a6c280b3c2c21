"""The wheel carries what is not Python as well: without its templates a page is an error."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.deploy.conftest import ROOT

PACKAGES = ["children", "parent", "monitor", "mainproj", "quickstart", "roles", "examples"]


def test_it_holds_all_that_the_packages_hold(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "wheel", *options, str(source)], check=True
    )

    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}

    there = {path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*")}
    wanted = {
        str(path) for path in there if (ROOT / path).is_file() and "__pycache__" not in path.parts
    }
    assert inside == wanted
