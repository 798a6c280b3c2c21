"""`manage.py workflow`: workflows, runs, signals, schedules, and the doctor."""

import getpass
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError
from rich.console import Console

from children.sanitize import clean_text
from parent.conf import setting
from parent.definition.signals import Approval
from parent.definition.workflow import Workflow, registry
from parent.deletion import orphan_results
from parent.deletion.prune import prune_all
from parent.deletion.stray_files import delete_strays
from parent.errors import (
    CannotRetry,
    InvalidParams,
    InvalidRetry,
    InvalidWorkflow,
    RunEnded,
    SignalClosed,
    SignalGiven,
    UnknownRun,
    UnknownSignal,
    UnknownStep,
    UnknownWorkflow,
)
from parent.management.arguments import params_of
from parent.management.catalogue import describe, describe_params
from parent.management.checkup import as_json, as_text
from parent.management.console import Show, live_bars, plain_lines
from parent.management.logs import log_lines
from parent.management.owner import user_by_name
from parent.management.parser import add_actions
from parent.management.schedules import act
from parent.management.snapshot import snapshots
from parent.models import Run, RunState
from parent.operations.doctor import examine
from parent.runs.cancel import cancel
from parent.runs.signals.give import close as close_signal
from parent.runs.signals.give import definition_of, give
from parent.runs.start import start
from parent.runs.user_retry.retry import retry
from parent.setting_names import in_project
from parent.store.outage import OUTAGE

INTERRUPTED, NOBODY_READS = 130, 141
"""Exit codes of a program that SIGINT or SIGPIPE has ended."""
REFUSED = (
    *(UnknownRun, RunEnded, CannotRetry, InvalidRetry),
    *(UnknownWorkflow, UnknownStep, UnknownSignal, SignalGiven, SignalClosed),
)


class Command(BaseCommand):
    help = (
        "List workflows; start, watch, signal, decide, cancel or retry a run; show its log; prune "
        "old runs; show and change schedules; run the doctor."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_actions(parser)

    def handle(self, *args: object, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        try:
            self._act(options)
        except REFUSED as exc:
            raise CommandError(clean_text(str(exc))) from exc
        except BrokenPipeError:
            # As with `| head`. Python writes what is left at its end, and must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(NOBODY_READS)
        except (*OUTAGE, ProgrammingError) as exc:
            raise CommandError(
                f"The database refuses: {clean_text(str(exc))}. Is "
                f"{in_project('DATABASE_URL', 'DATABASES')} right, does its server run, and has "
                "`manage.py migrate` been run?"
            ) from exc

    def _act(self, options: dict[str, Any]) -> None:
        match options["action"]:
            case "list":
                self._list()
            case "start":
                self._start(**_chosen(options, "name", "params", "owner", "watch"))
            case "prune":
                self._prune(options["older_than"])
            case "schedules":
                who = options["who"] or _os_user()
                self.stdout.write(act(options["schedule_action"], options["name"], who))
            case "doctor":
                self._doctor(options["as_json"])
            case "watch":
                self._watch(options["run_id"])
            case "log":
                self._log(**_chosen(options, "run_id", "follow", "step", "level"))
            case change:
                self._change_run(change, options["who"] or _os_user(), options)

    def _change_run(self, change: str, who: str, options: dict[str, Any]) -> None:
        match change:
            case "signal":
                given = _chosen(options, "run_id", "name", "params", "key", "close")
                self._signal(who=who, **given)
            case "approve" | "reject" as decision:
                given = _chosen(options, "run_id", "name", "params", "comment")
                self._decide(decision, who=who, **given)
            case "cancel":
                self._cancel(options["run_id"], who)
            case "retry":
                names = ("run_id", "step", "item", "inputs", "skip", "result", "watch")
                self._retry(who=who, **_chosen(options, *names))

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
                run = start(
                    workflow, given, owner=user_by_name(owner) if owner is not None else None
                )
            except InvalidParams as exc:
                raise CommandError(_params_error(workflow, exc)) from exc
            except InvalidWorkflow as exc:
                raise CommandError(str(exc)) from exc
        if not watch:
            self.stdout.write(str(run.pk))
            return
        self._write_stderr(f"{workflow.name} {run.pk}")
        self._watch(run.pk)

    def _log(self, run_id: UUID, **chosen: Any) -> None:
        try:
            for line in log_lines(run_id, **chosen):
                self.stdout.write(line)
                self.stdout.flush()
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def _watch(self, run_id: UUID) -> None:
        try:
            with self._display() as show:
                for snapshot in snapshots(run_id):
                    show(snapshot)
        except Run.DoesNotExist:
            raise CommandError(
                f"There is no run {run_id}: the id is wrong, or the run was deleted."
            ) from None
        except KeyboardInterrupt:
            self._write_stderr(
                f"The run goes on. Watch it again: python manage.py workflow watch {run_id}"
            )
            sys.exit(INTERRUPTED)
        if snapshot.run.state != RunState.SUCCESS:
            raise CommandError(
                clean_text(snapshot.run.error or f"The run is {snapshot.run.state}.")
            )
        self.stdout.write(json.dumps(snapshot.run.result, indent=2))

    def _signal(
        self,
        run_id: UUID,
        name: str,
        params: list[str],
        close: bool,
        who: str,
        key: str | None = None,
        decided: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        with ExitStack() as files:
            given = {**params_of(params, files), **decided}
            if close and (given or key is not None):
                raise CommandError("A signal that is closed takes no values: leave them out.")
            if close:
                close_signal(run_id, name, who=who)
                self.stdout.write(f"{name} is closed.")
                return
            try:
                came = give(run_id, name, given, who=who, key=key)
            except InvalidParams as exc:
                raise CommandError(_signal_error(name, exc)) from exc
        self.stdout.write(json.dumps(came.values))

    def _decide(
        self, decision: str, *, run_id: UUID, name: str, params: list[str], comment: str, who: str
    ) -> None:
        run = Run.objects.only("workflow").filter(pk=run_id).first()
        if run is not None and not isinstance(definition_of(run, name), Approval):
            raise CommandError(
                f"{name} is a signal, which nobody decides about: give it by "
                f"`manage.py workflow signal {run_id} {name}`."
            )
        words = {word.partition("=")[0] for word in params}
        if wrong := sorted(words & {"decision", "comment"}):
            raise CommandError(
                f"Leave {wrong[0]}= out: the command is the decision, and --comment the comment."
            )
        decided = {"decision": decision, "comment": comment}
        self._signal(run_id, name, params, close=False, who=who, decided=decided)

    def _cancel(self, run_id: UUID, who: str) -> None:
        run = cancel(run_id, who=who)
        self.stdout.write(
            f"The run is {run.state}."
            if run.ended
            else "The run is being cancelled: it ends when its running children do. "
            f"Watch it: python manage.py workflow watch {run_id}"
        )

    def _retry(
        self, run_id: UUID, step: str | None, skip: str | None, watch: bool, **given: Any
    ) -> None:
        if given["result"] is not None and skip is None:
            raise CommandError("--result is for a step that is skipped: add --skip STEP.")
        if given["inputs"] is not None and skip is not None:
            raise CommandError("A step that is skipped takes no inputs: leave --inputs out.")
        if given["item"] is not None and step is None:
            raise CommandError("--item needs its step: add --from STEP.")
        retry(run_id, step=skip or step, skip=skip is not None, **given)
        if watch:
            self._watch(run_id)
        else:
            self.stdout.write(str(run_id))

    def _prune(self, days: float | None) -> None:
        retention = setting("RETENTION")
        if days is None and retention is None:
            raise CommandError("WORKFLOW_RETENTION is off: give --older-than DAYS.")
        age = timedelta(days=days) if days is not None else timedelta(seconds=retention or 0)
        self.stdout.write(f"{prune_all(age)} runs deleted.")
        if left_over := orphan_results.delete_all():
            self.stdout.write(f"{left_over} results of ended attempts deleted.")
        if strays := delete_strays():
            self.stdout.write(f"{strays} uploads without a run deleted.")

    def _doctor(self, for_programs: bool) -> None:
        findings = list(examine())
        self.stdout.write((as_json if for_programs else as_text)(findings))
        if not all(each.ok for each in findings):
            sys.exit(1)

    def _display(self) -> AbstractContextManager[Show]:
        # On stderr, so that stdout has only the result.
        console = Console(stderr=True)
        if self.stderr.isatty() and console.is_interactive:
            return live_bars(console)
        return nullcontext(plain_lines(self._write_stderr))

    def _write_stderr(self, line: str) -> None:
        self.stderr.write(line, style_func=str)  # not in the red of errors


def _chosen(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _os_user() -> str:
    """The name of the system's user, for the run's history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        return f"uid {os.getuid()}"


def _params_error(workflow: Workflow, refused: InvalidParams) -> str:
    """The error of each field, and the parameters that the workflow takes."""
    return "\n  ".join(
        [
            f"{workflow.name} was not started:",
            *(f"{name}: {_sentences(errors)}" for name, errors in dict(refused.errors).items()),
            "It takes:",
            *(f"  {line}" for line in describe_params(workflow)),
        ]
    )


def _signal_error(name: str, refused: InvalidParams) -> str:
    lines = (f"{field}: {_sentences(errors)}" for field, errors in dict(refused.errors).items())
    return "\n  ".join([f"{name} was not given:", *lines])


def _sentences(errors: Any) -> str:
    """DRF's list of errors as text; errors of nested fields as JSON."""
    plain = isinstance(errors, list) and all(isinstance(part, str) for part in errors)
    return " ".join(map(str, errors)) if plain else json.dumps(errors, default=str)
