"""Measures the named figures on the database and broker that the environment names.

    DATABASE_URL=... REDIS_URL=... python -m bench.measure [--quick] FIGURE ...

The exit code is 1 if a bound is missed or a figure could not be measured.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module

import django
from django.core.management import call_command

from bench.figure import Unmeasured
from bench.part import figures_of


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("figures", nargs="+")
    asked = parser.parse_args(arguments)
    django.setup()
    call_command("migrate", verbosity=0)
    print(import_module("bench.environment").running(), flush=True)
    missed = 0
    for name in asked.figures:
        began = time.monotonic()
        unmeasured = False
        for figure in figures_of(name, import_module(f"bench.{name}").figures(quick=asked.quick)):
            print(figure, flush=True)
            missed += not figure.ok
            unmeasured |= isinstance(figure, Unmeasured)
        if unmeasured:
            start_over()
        print(f"  {'':<34} ({name}: {time.monotonic() - began:.0f} s)", flush=True)
    return int(missed > 0)


def start_over() -> None:
    """Clean up after an interrupted part, before the next one."""
    try:
        import_module("bench.environment").start_over()
    except Exception as exc:  # the next part reports what is missing
        print(f"  What it left could not be deleted: {exc}", flush=True)


sys.exit(main(sys.argv[1:]))
