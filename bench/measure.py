"""Measures the named figures on the database and broker that the environment names.

    DATABASE_URL=... REDIS_URL=... python -m bench.measure [--quick] FIGURE ...

Exit code 1 where a bound is missed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module

import django
from django.core.management import call_command


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("figures", nargs="+")
    asked = parser.parse_args(arguments)
    django.setup()
    call_command("migrate", verbosity=0)
    print(import_module("bench.ground").running(), flush=True)
    missed = 0
    for name in asked.figures:
        began = time.monotonic()
        for figure in import_module(f"bench.{name}").figures(quick=asked.quick):
            print(figure, flush=True)
            missed += not figure.ok
        print(f"  {'':<34} ({name}: {time.monotonic() - began:.0f} s)", flush=True)
    return int(missed > 0)


sys.exit(main(sys.argv[1:]))
