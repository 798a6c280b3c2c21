"""Checks the licences and known vulnerabilities of the packages in the image.

`make audit`. The terms are read from the installed packages; the holes are asked of a database on
the network, and that is skipped where it does not answer.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
PIP_AUDIT = (
    "pip-audit==2.10.1"  # runs in its own environment, so that the lock files do not need it
)

# Licences that only require to keep the notices when the image is passed on. LGPL: psycopg, which
# is imported unmodified and can be replaced.
ALLOWED = (
    *("MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL-2.0", "Mozilla"),
    *("ZPL", "Zope Public License"),
    *("LGPL", "GNU Lesser", "GNU Library"),
)


def main() -> int:
    return terms() | holes()


def terms() -> int:
    names = re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.M)
    command = ["-m", "piplicenses", "--partial-match", f"--allow-only={';'.join(ALLOWED)}"]
    done = run(*command, "--packages", *dict.fromkeys(names))
    if done.returncode:
        say(f"Licences: {(done.stderr or done.stdout).strip()}")
    else:
        say(f"Licences: all {len(set(names))} are of those that are allowed")
    return done.returncode


def holes() -> int:
    """Skip instead of fail if the audit could not get its data."""
    options = ["--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--format=json"]
    tool = ["-m", "uv", "tool", "run", "--quiet", "--from", PIP_AUDIT, "pip-audit"]
    done = run(*tool, *options, "--progress-spinner=off")
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = [*done.stderr.strip().splitlines(), "no answer"][-1]
        say(f"Vulnerabilities: skipped, for nobody could be asked ({reason})")
        return 0
    known = [each for each in packages if "vulns" in each]
    if not known:
        say("Vulnerabilities: skipped, for who was asked knows none of the packages")
        return 0
    found = [(each, hole) for each in known for hole in each["vulns"]]
    for each, hole in found:
        fixed = ", ".join(hole["fix_versions"]) or "nothing yet"
        say(f"Vulnerabilities: {each['name']} {each['version']}: {hole['id']}, mended by {fixed}")
    say(f"Vulnerabilities: {len(found)} in {len(known)} of {len(packages)} packages")
    return int(bool(found))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=300, check=False
    )


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line


if __name__ == "__main__":
    sys.exit(main())
