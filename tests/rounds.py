"""Which tests run on which database, and in how many processes."""

import os
from collections.abc import Sequence
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

__all__ = ["COMPUTING", "MIGRATED", "ON_POSTGRES", "WAITING", "Scheduling", "on_sqlite", "turns"]

TESTS = Path(__file__).parent


def processes(more_than_cores: int) -> list[str]:
    """A file's tests stay in one process, with the fixtures that they share."""
    count = str((os.cpu_count() or 1) + more_than_cores)
    # The last one keeps the order of `turns`.
    return ["--numprocesses", count, "--dist", "loadfile", "--no-loadscope-reorder"]


COMPUTING, WAITING = processes(4), processes(7)
"""For tests that mostly compute, or mostly wait: for a lease or a worker. Each process takes 3 s of
a core until its first test.
"""

OF_ONE_TEAM = ["packages", "rest_framework", "their_code", "urls", "users"]
TOGETHER = {f"tests/adopt/test_{name}.py": "tests/adopt" for name in OF_ONE_TEAM}
"""Files that share a project with its web server and worker. In several processes each would make
its own.
"""

MIGRATED = "MIGRATED_DATABASE"
"""The variable with a migrated database of SQLite, which each process of a round copies."""

LONGEST = ["quickstart/test_up.py", "deploy/test_compose.py", "monitor/test_contract.py"]
LONGEST += ["parent/test_state_machine.py", "adopt/test_matrix.py", "examples/test_csv_memory.py"]
LONGEST += ["faults/test_odd_ends.py", "ops/test_failures.py", "system/test_endings.py"]
"""Begun first, so that no process has one of these left when the others have ended. None of them
leaves a worker that takes the messages of the tests after it.
"""

WITH_WORKERS = ["faults", "ops", "system"]
"""Folders whose tests mostly wait: for a real worker, a lease, a timeout."""

# The behaviour of real workers depends on the database only where it locks rows or the file.
ON_POSTGRES_ALONE = [f"tests/{folder}" for folder in WITH_WORKERS]
SMOKE_ON_SQLITE = [
    *("tests/faults/test_hostile_bodies.py", "tests/faults/test_kills.py"),
    *("tests/faults/test_locked.py", "tests/faults/test_retries.py"),
    "tests/faults/test_quiet_bodies.py",
]
# Pure functions, checks and texts: no row is read, or none that a database could change.
WITHOUT_ROWS = [
    *("parent/test_checks.py", "parent/test_console.py", "parent/test_eta.py"),
    *("parent/test_inputs_check.py", "parent/test_mapping.py", "parent/test_openings.py"),
    *("parent/test_params.py", "parent/test_plan.py", "parent/test_project_checks.py"),
    *("parent/test_signals_declared.py", "parent/test_watch.py", "parent/test_watch_plain.py"),
    *("notifications/test_problems.py", "notifications/test_pure.py"),
    *("schedules/test_calendar.py", "schedules/test_checks.py"),
]

ON_BOTH = [
    *("tests/parent/test_state_machine.py", "tests/parent", "tests/notifications"),
    *("tests/schedules", "tests/deploy/test_migrations.py"),
    *("tests/monitor/test_api.py", "tests/monitor/test_cancel.py"),
    *("tests/monitor/test_bad_input.py", "tests/monitor/test_idempotency.py"),
    *("tests/monitor/test_polling.py", "tests/monitor/test_retry.py"),
    *("tests/monitor/test_access.py", "tests/monitor/test_login.py"),
    *("tests/monitor/test_run_list.py", "tests/monitor/test_tokens.py"),
    "tests/monitor/test_ops.py",
]
# The ids of others, at each address: that the same rows are found is seen in the tests beside it,
# and that any id can be asked for on PostgreSQL in `test_bad_input.py`.
ONCE = ["monitor/test_access.py::test_nothing_tells_anothers_run_from_one_that_never_was"]

ON_POSTGRES = [
    *ON_POSTGRES_ALONE,
    *ON_BOTH,
    *(f"--ignore=tests/{file}" for file in WITHOUT_ROWS),
    *(f"--deselect=tests/{test}" for test in ONCE),
]


def on_sqlite() -> list[str]:
    """All tests except those for PostgreSQL only, and a few of those."""
    folders = {file.parent for file in TESTS.glob("*/test_*.py")}
    paths = [*folders, *TESTS.glob("test_*.py")]
    found = {str(path.relative_to(TESTS.parent)) for path in paths}
    return [*SMOKE_ON_SQLITE, *sorted(found - {*ON_POSTGRES_ALONE})]


def turns(files: Sequence[Path]) -> dict[Path, tuple[int, float]]:
    """When each file of tests has its turn: the longest first, the others in their order, but those
    that mostly wait spread evenly among those that mostly compute.
    """
    waiting = [file for file in files if file.relative_to(TESTS).parts[0] in WITH_WORKERS]
    computing = [file for file in files if file not in waiting]
    longest = [TESTS / name for name in LONGEST]
    found = dict[Path, tuple[int, float]]()
    for group in waiting, computing:
        for place, file in enumerate(group):
            first = longest.index(file) if file in longest else len(longest)
            found[file] = first, place / len(group)
    return found


class Scheduling(LoadFileScheduling):
    """A file's tests, and those of some files, stay in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file, file)
