"""The arguments of `manage.py workflow`."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from parent.definition.parameters.json_text import read_json
from parent.logs.read import LEVELS
from parent.management.arguments import HELP, VALUE_HELP
from parent.management.schedules import SCHEDULE_ACTIONS

__all__ = ["DECISIONS", "add_actions"]

DECISIONS = ("approve", "reject")
MAX_NAME = 150  # characters, as of a Django user's name


class MixingParser(CommandParser):
    """Accepts options between parameters; argparse alone ends the parameters at an option."""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        namespace, rest = super().parse_known_args(*args, **kwargs)
        if "params" in namespace:
            namespace.params += [word for word in rest if not word.startswith("-")]
            rest = [word for word in rest if word.startswith("-")]
        return namespace, rest


def add_actions(parser: CommandParser) -> None:
    """Add a parser for each action. The chosen one is in `action`."""
    actions = parser.add_subparsers(
        dest="action", required=True, metavar=" | ".join(_ACTIONS), parser_class=MixingParser
    )
    for name, (text, add_arguments) in _ACTIONS.items():
        add_arguments(actions.add_parser(name, help=text))


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    """It has no arguments."""


def _add_start(starting: argparse.ArgumentParser) -> None:
    starting.description = "Start a run and print its id; with --watch, its result instead."
    starting.add_argument("name", metavar="NAME", help="the workflow")
    starting.add_argument("params", metavar="key=value", nargs="*", help=HELP)
    starting.add_argument(
        "--owner", metavar="NAME", help="whose run it is, by what they log in with (nobody's)"
    )
    starting.add_argument("--watch", action="store_true", help="watch it, as `watch` does")


def _add_watch(watching: argparse.ArgumentParser) -> None:
    watching.description = (
        "Watch a run to its end. Its progress goes to stderr, and its result to stdout as JSON. "
        "The exit code is 0, or 1 if it failed."
    )
    _add_run(watching)


def _add_log(logs: argparse.ArgumentParser) -> None:
    logs.description = "Show what the children of a run have logged, one line after another."
    _add_run(logs)
    logs.add_argument("--follow", action="store_true", help="go on until the run has ended")
    logs.add_argument("--step", metavar="NAME", help="only lines of this step")
    logs.add_argument("--level", choices=LEVELS, help="only lines of this level and above")


def _add_signal(giving: argparse.ArgumentParser) -> None:
    giving.description = (
        "Give a run a signal, or decide an approval: decision=approve or decision=reject, "
        "comment=..., and the fields of its form. The first one counts; the same again changes "
        "nothing."
    )
    _add_run(giving)
    giving.add_argument("name", metavar="NAME", help="the signal or approval")
    giving.add_argument("params", metavar="key=value", nargs="*", help=VALUE_HELP)
    giving.add_argument(
        "--key",
        metavar="KEY",
        help="the key of the item, for a signal that feeds a Map; a key that is there adds no item",
    )
    giving.add_argument(
        "--close",
        action="store_true",
        help="close it instead: what waits for it is skipped, and a Map that it feeds ends",
    )
    _add_who(giving)


def _add_decision(deciding: argparse.ArgumentParser, verb: str) -> None:
    fields = "; the fields of its form follow as key=value" if verb == "approve" else ""
    deciding.description = (
        f"{verb.capitalize()} what a run asks for{fields}. The first decision counts; the same "
        "again changes nothing."
    )
    _add_run(deciding)
    deciding.add_argument("name", metavar="NAME", help="the approval")
    deciding.add_argument("params", metavar="key=value", nargs="*", help=VALUE_HELP)
    deciding.add_argument("--comment", metavar="TEXT", default="", help="why (nothing)")
    _add_who(deciding)


def _add_cancel(cancelling: argparse.ArgumentParser) -> None:
    cancelling.description = (
        "Cancel a run. What waits ends at once; a running child ends at its next report, and is "
        "ended where it makes none."
    )
    _add_run(cancelling)
    _add_who(cancelling)


def _add_retry(retrying: argparse.ArgumentParser) -> None:
    retrying.description = (
        "Try a failed or cancelled run again, under the same id, and print it; with --watch, its "
        "result instead. Steps that are OK keep their results."
    )
    _add_run(retrying)
    where = retrying.add_mutually_exclusive_group()
    where.add_argument(
        "--from",
        dest="step",
        metavar="STEP",
        help="run this step and all that depends on it again (those that failed)",
    )
    where.add_argument("--skip", metavar="STEP", help="go on past this step")
    retrying.add_argument(
        "--item",
        metavar="KEY",
        help="with --from: only this item of the step, which is a Map; the others stay as they are",
    )
    given = retrying.add_mutually_exclusive_group()
    given.add_argument(
        "--inputs", metavar="JSON", type=_object, help="the step's inputs, in place of its own"
    )
    given.add_argument(
        "--result", metavar="JSON", type=_json, help="with --skip: the step's result (null)"
    )
    _add_who(retrying)
    retrying.add_argument("--watch", action="store_true", help="watch it, as `watch` does")


def _add_prune(pruning: argparse.ArgumentParser) -> None:
    pruning.add_argument(
        "--older-than",
        metavar="DAYS",
        type=_days,
        help="how long ago they must have ended (what WORKFLOW_RETENTION says)",
    )


def _add_schedules(scheduling: argparse.ArgumentParser) -> None:
    scheduling.description = (
        "Show the schedules with their next times, or change one. `run` starts it now, also while "
        "it is paused, and prints the run's id; `reset` drops what staff edited."
    )
    scheduling.add_argument(
        "schedule_action", choices=SCHEDULE_ACTIONS, nargs="?", default="list", help="(list)"
    )
    scheduling.add_argument(
        "name", metavar="WORKFLOW[/NAME]", nargs="?", help="the schedule (its default one)"
    )
    _add_who(scheduling)


def _add_doctor(looking: argparse.ArgumentParser) -> None:
    looking.description = (
        "Look at settings, database, broker, workers, queues, clocks and runs. Prints what is "
        "wrong and what to do; the exit code is 1 where there is anything."
    )
    looking.add_argument("--json", dest="as_json", action="store_true", help="for programs")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="ID", type=_run_id, help="what `start` printed")


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as",
        dest="who",
        metavar="NAME",
        type=_who,
        help="who does it, for the run's history (the user of this machine)",
    )


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a run id: give the one that `workflow start` printed."
        ) from None


def _who(text: str) -> str:
    if not text.isprintable() or not 0 < len(text) <= MAX_NAME:
        raise argparse.ArgumentTypeError(f"a name has 1 to {MAX_NAME} printable characters.")
    return text


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    # Larger values overflow the database's dates.
    if not 0 <= days <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 0 to 36500.")
    return days


def _json(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError) as exc:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not JSON ({exc}): quote it, such as '{{\"limit\": 5}}' or '\"text\"'."
        ) from None


def _object(text: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a JSON object: name each input, such as '{{\"limit\": 5}}'."
        )
    return value


_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "list": ("show the workflows with their parameters and steps", _add_nothing),
    "start": ("start a run and print its id", _add_start),
    "watch": ("watch a run to its end", _add_watch),
    "log": ("show what the children of a run have logged", _add_log),
    "signal": ("give a run a signal, or decide an approval", _add_signal),
    **{
        verb: (f"{verb} what a run asks for", partial(_add_decision, verb=verb))
        for verb in DECISIONS
    },
    "cancel": ("cancel a run", _add_cancel),
    "retry": ("try a failed or cancelled run again", _add_retry),
    "prune": ("delete runs that ended long ago", _add_prune),
    "schedules": ("show the schedules; pause, resume, run or reset one", _add_schedules),
    "doctor": ("look at the whole installation, and say what to do", _add_doctor),
}
"""By name: what `--help` says of an action, and what adds its arguments."""
