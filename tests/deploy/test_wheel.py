"""The wheel carries the three apps alone, with what is not Python in them."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.deploy.conftest import ROOT

PACKAGES = ["children", "parent", "monitor"]
OURS = ["mainproj", "quickstart", "roles", "examples"]
"""Parts of this project that are none of another one."""


def build_wheel(folder: Path) -> Path:
    """Build it in a folder that has no more than what is in the repository."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES + OURS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "wheel", *options, str(source)], check=True
    )
    [wheel] = folder.glob("*.whl")
    return wheel


def test_it_holds_all_that_the_apps_hold(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}

    there = {path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*")}
    wanted = {
        str(path) for path in there if (ROOT / path).is_file() and "__pycache__" not in path.parts
    }
    assert inside == wanted
