"""Checks of runs: stuck runs, and results and files left over."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, F, Min, OuterRef, Q
from django.db.models.functions import Coalesce

from parent.decisions.limit_sizes import parse_size
from parent.deletion import orphan_results
from parent.deletion.stray_files import find_strays
from parent.models import Item, LimitSize, Run, Step, StepState
from parent.operations.doctor.finding import EXAMPLES, OVERDUE, Finding
from parent.runs.concurrency.who_waits import lines
from parent.store import clock
from parent.store.outage import OUTAGE

__all__ = ["awaiting", "files", "in_line", "left_over", "nested", "sizes", "stuck"]

SILENT = timedelta(hours=1)
FORGOTTEN = timedelta(days=7)
"""For so long something that has no timeout may wait for what comes from outside."""


def stuck() -> Iterator[Finding]:
    now = clock.now()
    active = Step.objects.filter(run=OuterRef("pk"), state__in=Step.ACTIVE)
    idle = Run.objects.filter(~Exists(active), finished_at__isnull=True, due_at__isnull=True)
    idle = idle.filter(Q(place_key=None) | Q(has_place=True))
    for run in idle.only("workflow")[:EXAMPLES]:
        yield Finding(
            part="runs",
            what=f"{run} has not ended, and nothing in it is going to move",
            do=f"Run: python manage.py workflow cancel {run.pk}",
        )
    overdue = Step.objects.filter(state__in=Step.ACTIVE, due_at__lt=now - OVERDUE)
    if number := overdue.count():
        since = overdue.aggregate(first=Min("due_at"))["first"]
        yield Finding(
            part="runs",
            what=f"{number} steps have waited for a tick, the first for "
            f"{(now - since).total_seconds():.0f} s",
            do="Is a worker alive, and does it watch? See its log.",
        )
    heard_at = Coalesce("reported_at", "started_at")
    silent = Step.objects.filter(state=StepState.RUNNING, stall_timeout=None, run_timeout=None)
    # Of a child run its own steps are looked at.
    silent = silent.filter(awaits="", fed_by="", nested=False)
    silent = silent.annotate(heard_at=heard_at).filter(heard_at__lt=now - SILENT)
    silent = silent.select_related("run").only("name", "run__workflow")
    for step in silent.order_by(F("heard_at"))[:EXAMPLES]:
        yield Finding(
            part="runs",
            what=f"{step.name} of {step.run} has said nothing for over an hour, "
            "and has no limit that would end it",
            do="Give the step a stall_timeout, or set WORKFLOW_STALL_TIMEOUT; to end this one: "
            f"python manage.py workflow cancel {step.run_id}",
        )


def nested() -> Iterator[Finding]:
    """Child runs that go on although no step or item waits for them, and steps and items that wait
    for a run that has ended.

    The engine ends both together. Only a change of the rows by hand leaves one of them.
    """
    now = clock.now()
    waits = Step.objects.filter(
        child_run_id=OuterRef("pk"), state=StepState.RUNNING, run__finished_at__isnull=True
    )
    of_item = Item.objects.filter(
        child_run_id=OuterRef("pk"), state=StepState.RUNNING, step__state=StepState.RUNNING
    )
    alone = Run.objects.filter(parent_run__isnull=False, finished_at__isnull=True)
    # After the end of a mapped step its runs are cancelled, and end later.
    alone = alone.filter(~Exists(waits), ~Exists(of_item), cancel_requested_at__isnull=True)
    alone = alone.filter(created_at__lt=now - OVERDUE)
    for run in alone.only("workflow", "parent_run")[:EXAMPLES]:
        yield Finding(
            part="runs",
            what=f"{run} goes on, and no step of the run {run.parent_run_id} waits for it",
            do=f"Run: python manage.py workflow cancel {run.pk}",
        )
    going = Run.objects.filter(pk=OuterRef("child_run_id"))
    going = going.exclude(finished_at__lt=now - OVERDUE)
    late = {"state": StepState.RUNNING, "started_at__lt": now - OVERDUE}
    steps = Step.objects.filter(~Exists(going), nested=True, chunk=None, **late)
    items = Item.objects.filter(~Exists(going), child_run_id__isnull=False, **late)
    stuck: list[Step | Item] = [
        *steps.select_related("run").only("name", "child_run_id", "run__workflow")[:EXAMPLES],
        *items.select_related("step__run").defer("result", "step__run__params")[:EXAMPLES],
    ]
    for step in stuck:
        gone = not Run.objects.filter(pk__in=[step.child_run_id]).exists()
        yield Finding(
            part="runs",
            what=f"{step.name} of {step.run} waits for the run {step.child_run_id}, which "
            f"{'is not there' if gone else 'has ended'}",
            do=f"Run: python manage.py workflow cancel {step.run_id}; then retry it"
            if gone
            else "Is a worker alive, and does it watch? A tick ends the step. See its log.",
        )


def in_line() -> Iterator[Finding]:
    """Runs that wait for their turn, and steps that wait for a limit, by line.

    That is a problem only if one of them has waited long.
    """
    now = clock.now()
    for line in lines(now, at_most=EXAMPLES):
        what = f"runs of {line.workflow}" if line.workflow else "steps"
        key = f" with {line.name}" if line.workflow not in ("", line.name) else ""
        waits = "their turn" if line.workflow else f"a place of {line.name}"
        held = f", held by {', '.join(map(str, line.held_by))}" if line.held_by else ""
        raise_it = "the limit in the code" if line.workflow else "its size"
        yield Finding(
            part="runs",
            what=f"{line.waiting} {what}{key} wait for {waits}, the first since "
            f"{line.since:%Y-%m-%d %H:%M} UTC: {line.use}{held}",
            do=f"Let those that hold places end, or raise {raise_it}; or cancel runs: "
            "python manage.py workflow cancel ID",
            ok=line.since is None or line.since > now - SILENT,
        )


def sizes() -> Iterator[Finding]:
    """Sizes of limits that somebody wrote past the admin's form, and that cannot be read."""
    for row in LimitSize.objects.all():
        try:
            parse_size(row.size)
        except ValueError as exc:
            yield Finding(
                part="runs",
                what=f"the size of {row.name} that stands in place of the setting's has no effect: "
                f"{exc}",
                do="Change or delete it in the admin, under Sizes of limits.",
            )


def awaiting() -> Iterator[Finding]:
    """Runs that wait for something from outside that may never come, the longest first."""
    waits = Step.objects.filter(state=StepState.RUNNING, run_timeout=None).exclude(awaits="")
    late = waits.filter(queued_at__lt=clock.now() - FORGOTTEN).select_related("run")
    number = late.count()
    for step in late.only("name", "awaits", "queued_at", "run__workflow").order_by("queued_at")[:1]:
        days = (clock.now() - step.queued_at).days if step.queued_at else 0
        yield Finding(
            part="runs",
            what=f"{number} steps have waited for over {FORGOTTEN.days} days for a signal or an "
            f"approval; {step.name} of {step.run} has waited longest, for {days} days",
            do=f"Give it (python manage.py workflow signal {step.run_id} {step.name} ...), cancel "
            "the run, or declare a timeout.",
        )


def left_over() -> Iterator[Finding]:
    if number := orphan_results.count():
        yield Finding(
            part="results",
            what=f"{number} TaskResult rows are of attempts that are over; nobody reads them",
            do="Run: python manage.py workflow prune",
        )


def files() -> Iterator[Finding]:
    """Uploads without a run."""
    try:
        strays = list(find_strays())
    except OUTAGE:
        raise
    except Exception as exc:  # each storage raises errors of its own
        yield Finding(
            part="files",
            what=f"the storage of uploaded files cannot be read ({exc})",
            do="Is MEDIA_ROOT right, mounted, and readable for this user?",
        )
        return
    if strays:
        yield Finding(
            part="files",
            what=f"{len(strays)} uploads are of no run, such as {', '.join(strays[:EXAMPLES])}; "
            "the process that took them died before it could start one",
            do="Run: python manage.py workflow prune",
        )
