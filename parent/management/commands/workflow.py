"""`manage.py workflow`: list the workflows, start one, watch a run."""

import argparse
import json
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError
from rich.console import Console

from parent import registry
from parent.definitions import Workflow
from parent.errors import InvalidParams, InvalidWorkflow, UnknownWorkflow
from parent.management.arguments import HELP, params_of
from parent.management.catalogue import describe, describe_params
from parent.management.console import Show, live_bars, one_line, plain_lines
from parent.management.look import looks
from parent.models import Run, RunState
from parent.outage import OUTAGE
from parent.start import start

INTERRUPTED = 130


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no run id: give the one that `workflow start` printed."
        ) from None


class MixingParser(CommandParser):
    """Takes options among the parameters, where argparse ends the parameters at an option."""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        namespace, rest = super().parse_known_args(*args, **kwargs)
        if "params" in namespace:
            namespace.params += [word for word in rest if not word.startswith("-")]
            rest = [word for word in rest if word.startswith("-")]
        return namespace, rest


class Command(BaseCommand):
    help = "List the workflows, start a run, or watch one to its end."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action", required=True, metavar="list | start | watch", parser_class=MixingParser
        )
        actions.add_parser("list", help="show the workflows with their parameters and steps")
        starting = actions.add_parser(
            "start",
            help="start a run and print its id",
            description="Start a run and print its id; with --watch, its result instead.",
        )
        starting.add_argument("name", metavar="NAME", help="the workflow")
        starting.add_argument("params", metavar="key=value", nargs="*", help=HELP)
        starting.add_argument("--owner", metavar="USERNAME", help="whose run it is (nobody's)")
        starting.add_argument("--watch", action="store_true", help="watch it, as `watch` does")
        watching = actions.add_parser(
            "watch",
            help="watch a run to its end",
            description="Watch a run to its end. Its progress goes to stderr, and its result to "
            "stdout as JSON. The exit code is 0, or 1 if it failed.",
        )
        watching.add_argument("run_id", metavar="ID", type=_run_id, help="what `start` printed")

    def handle(self, *args: object, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        try:
            match options["action"]:
                case "list":
                    self._list()
                case "start":
                    names = ("name", "params", "owner", "watch")
                    self._start(**{name: options[name] for name in names})
                case "watch":
                    self._watch(options["run_id"])
        except (*OUTAGE, ProgrammingError) as exc:
            raise CommandError(
                f"The database refuses: {one_line(str(exc))}. Is DATABASE_URL right, does its "
                "server run, and has `manage.py migrate` been run?"
            ) from exc

    def _list(self) -> None:
        described = "\n\n".join(map(describe, registry.workflows()))
        self.stdout.write(
            described or "There are none: add an app with a workflows.py to INSTALLED_APPS."
        )

    def _start(self, name: str, params: list[str], owner: str | None, watch: bool) -> None:
        try:
            workflow = registry.get(name)
        except UnknownWorkflow as exc:
            raise CommandError(f"{exc} `manage.py workflow list` shows them.") from exc
        with ExitStack() as files:
            given = params_of(params, files)
            try:
                run = start(workflow, given, owner=_user(owner) if owner is not None else None)
            except InvalidParams as exc:
                raise CommandError(_refusal(workflow, exc)) from exc
            except InvalidWorkflow as exc:
                raise CommandError(str(exc)) from exc
        if not watch:
            self.stdout.write(str(run.pk))
            return
        self._tell(f"{workflow.name} {run.pk}")
        self._watch(run.pk)

    def _watch(self, run_id: UUID) -> None:
        try:
            with self._display() as show:
                for look in looks(run_id):
                    show(look)
        except Run.DoesNotExist:
            raise CommandError(
                f"There is no run {run_id}: the id is wrong, or the run was deleted."
            ) from None
        except KeyboardInterrupt:
            self._tell(f"The run goes on. Watch it again: python manage.py workflow watch {run_id}")
            sys.exit(INTERRUPTED)
        if look.run.state != RunState.SUCCESS:
            raise CommandError(one_line(look.run.error or f"The run is {look.run.state}."))
        self.stdout.write(json.dumps(look.run.result, indent=2))

    def _display(self) -> AbstractContextManager[Show]:
        # On stderr, so that stdout has the result alone.
        console = Console(stderr=True)
        if self.stderr.isatty() and console.is_interactive:
            return live_bars(console)
        return nullcontext(plain_lines(self._tell))

    def _tell(self, line: str) -> None:
        self.stderr.write(line, style_func=str)  # not in the red of errors


def _user(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(
            f"There is no user {username!r}: correct the name, or leave --owner out."
        )
    return user


def _refusal(workflow: Workflow, refused: InvalidParams) -> str:
    """The error of each field, and what the workflow takes instead."""
    return "\n  ".join(
        [
            f"{workflow.name} was not started:",
            *(f"{name}: {_sentences(told)}" for name, told in dict(refused.errors).items()),
            "It takes:",
            *(f"  {line}" for line in describe_params(workflow)),
        ]
    )


def _sentences(told: Any) -> str:
    """DRF's list of sentences as text; of nested fields, as JSON."""
    plain = isinstance(told, list) and all(isinstance(part, str) for part in told)
    return " ".join(map(str, told)) if plain else json.dumps(told, default=str)
