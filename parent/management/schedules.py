"""`manage.py workflow schedules`: what it prints and does."""

from collections.abc import Callable, Iterator, Sequence

from django.core.management.base import CommandError
from django.utils import timezone

from parent.definition.schedule import DEFAULT_NAME
from parent.errors import ScheduleGone, UnknownSchedule, UnknownWorkflow
from parent.models import Firing, FiringState, Schedule
from parent.schedules import control
from parent.schedules.outlook import Outlook, outlooks
from parent.schedules.rows import find
from parent.schedules.sync import sync
from parent.store import clock

__all__ = ["SCHEDULE_ACTIONS", "act", "describe_all"]

SCHEDULE_ACTIONS = ("list", "pause", "resume", "run", "reset")

CHANGES: dict[str, tuple[Callable[..., Schedule], str]] = {
    "pause": (control.pause, "{} is paused."),
    "resume": (control.resume, "{} goes on."),
    "reset": (control.reset, "{} is as the code has it."),
}


def act(action: str, name: str | None, who: str) -> str:
    """Do it to the schedule of this name, and return what to print.

    Raises:
        CommandError: there is no such schedule, or nothing was started.
    """
    sync()
    if action == "list":
        return describe_all(name)
    if name is None:
        raise CommandError(f"Which one? workflow schedules {action} WORKFLOW/NAME; {_names()}")
    row = _row(name)
    try:
        if action == "run":
            return _started(control.run_now(row.pk, who=who))
        change, said = CHANGES[action]
        return said.format(change(row.pk, who=who))
    except (ScheduleGone, UnknownSchedule, UnknownWorkflow) as exc:
        raise CommandError(str(exc)) from exc


def describe_all(workflow: str | None) -> str:
    """A paragraph for each schedule; for those of one workflow, or one schedule, if it is given."""
    rows = list(Schedule.objects.all())
    if workflow is not None:
        rows = [row for row in rows if workflow in (row.workflow, str(row))]
        if not rows:
            raise CommandError(f"There is no schedule {workflow!r}; {_names()}")
    if not rows:
        return "There are none: give a workflow schedules=[Schedule(...)], or add one in the admin."
    return "\n\n".join(map(_described, outlooks(rows, clock.now())))


def _described(seen: Outlook) -> str:
    return "\n".join([f"{seen.schedule}: {seen.schedule.says_when}", *_lines(seen)])


def _lines(seen: Outlook) -> Iterator[str]:
    row = seen.schedule
    if row.removed_at is not None:
        yield "  off: the code has it no more"
    elif row.paused_at is not None:
        yield f"  paused by {row.paused_by} since {_local(row.paused_at)}"
    elif row.problem:
        yield f"  {row.problem}"
    if row.declared is None:
        yield "  made by hand"
    elif row.edited:
        yield f"  edited by {row.edited_by or 'hand'}: {', '.join(row.edited)}"
    if seen.next_times:
        yield f"  next: {', '.join(map(_local, seen.next_times))}"
    if seen.last is not None:
        yield f"  last: {_local(seen.last.nominal_at)}, run {seen.last.run_id or 'deleted'}"
    if seen.left_out is not None:
        yield f"  {_left_out(seen.left_out)}"


def _left_out(firing: Firing) -> str:
    word = firing.get_state_display().lower()
    return f"{word}: {_local(firing.nominal_at)}: {firing.detail}"


def _local(moment: object) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"  # type: ignore[arg-type]


def _started(firing: Firing) -> str:
    if firing.run_id is not None:
        return str(firing.run_id)
    if firing.state == FiringState.WAITING:
        return firing.detail
    raise CommandError(f"Nothing was started: {firing.detail}")


def _row(name: str) -> Schedule:
    workflow, _, rest = name.partition("/")
    row = find(workflow, rest or DEFAULT_NAME)
    if row is None:
        raise CommandError(f"There is no schedule {name!r}; {_names()}")
    return row


def _names() -> str:
    names: Sequence[str] = [str(row) for row in Schedule.objects.all()[:20]]
    return f"there are: {', '.join(names) or 'none'}."
