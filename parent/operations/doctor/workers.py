"""Checks of workers: heartbeats, queues, known tasks, the watch, clocks."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from parent.definition.workflow import Step as StepDefinition
from parent.definition.workflow import Workflow, registry
from parent.messages.publish import queue_of
from parent.models import Executor, Item, Step, StepState, WatchLease
from parent.operations import health
from parent.operations.doctor.finding import EXAMPLES, OVERDUE, Finding
from parent.setting_names import in_celery, in_project
from parent.store import clock, leases
from parent.worker.remote_workers import Remote, remote_workers

__all__ = ["answers", "clocks", "queues", "watch", "workers"]

SKEW = timedelta(seconds=5)
"""Allowed difference of clocks. Writing a heartbeat takes time too."""
UNWATCHED = timedelta(seconds=10)


def workers() -> Iterator[Finding]:
    if problem := health.workers():
        yield Finding(part="workers", what=problem.what, do=problem.do)
    lost = {
        "state": StepState.RUNNING,
        "executor__heartbeat_at__lt": clock.now() - leases.lease() - OVERDUE,
    }
    dead: list[Step | Item] = [
        *Step.objects.filter(**lost).select_related("executor"),
        *Item.objects.filter(**lost).select_related("executor"),
    ]
    for executor, number in Counter(str(row.executor) for row in dead).items():
        yield Finding(
            part="workers",
            what=f"{executor} is dead, and {number} steps still count as running on it",
            do="A tick takes them away: start a worker, and see that it watches.",
        )
    hosts = sorted(set(leases.alive().values_list("host", flat=True)))
    if connection.vendor == "sqlite" and len(hosts) > 1:
        yield Finding(
            part="workers",
            what=f"workers on several machines ({', '.join(hosts)}) share an SQLite file",
            do=f"Use PostgreSQL: set {in_project('DATABASE_URL', 'DATABASES')}.",
        )


def queues() -> Iterator[Finding]:
    """Queues that steps need but no worker consumes."""
    consumed = {queue for executor in leases.alive() for queue in executor.queues}
    if not consumed:
        return  # no worker is alive, which is reported already
    needed: dict[str, set[str]] = {}
    for workflow in registry.workflows():
        for step in _with_messages(workflow):
            row = Step(queue=step.queue or "", task=step.task_name)
            needed.setdefault(queue_of(row), set()).add(f"{workflow.name}.{step.label}")
    waiting = Step.objects.filter(state=StepState.QUEUED).order_by()
    for queue, task, name in waiting.values_list("queue", "task", "run__workflow").distinct():
        needed.setdefault(queue_of(Step(queue=queue, task=task)), set()).add(f"{name} ({task})")
    of_items = Item.objects.filter(state=StepState.QUEUED).order_by()
    named = of_items.values_list("step__queue", "step__task", "step__run__workflow")
    for queue, task, name in named.distinct():
        needed.setdefault(queue_of(Step(queue=queue, task=task)), set()).add(f"{name} ({task})")
    for queue in sorted(set(needed) - consumed):
        who = sorted(needed[queue])
        more = f" and {len(who) - EXAMPLES} more" * (len(who) > EXAMPLES)
        yield Finding(
            part="queues",
            what=f"no worker consumes {queue!r}, which {', '.join(who[:EXAMPLES])}{more} need",
            do=f"Start one: {health.how_to_start(queue)}",
        )


def _with_messages(workflow: Workflow) -> Iterator[StepDefinition]:
    """The steps that are sent to workers: neither those that wait for a person, nor workflows."""
    return (step for step in workflow.steps if step.task_name and not step.nested)


def answers() -> Iterator[Finding]:
    """Compare the live workers in the database with those that answer over the broker."""
    alive = list(leases.alive().exclude(pool="solo"))  # a solo worker cannot answer while it works
    if not alive or health.broker():
        return
    remotes = remote_workers()
    for executor in alive:
        remote = remotes.get(str(executor.pk))
        if remote is None:
            yield Finding(
                part="workers",
                what=f"{executor} is alive in the database and does not answer over this broker",
                do=f"Check that it has the same {in_project('REDIS_URL', in_celery('broker_url'))} "
                "and that its log shows a connection.",
            )
        else:
            yield from _unknown_tasks(executor, remote)
            yield from _left_steps(executor, remote)


def _unknown_tasks(executor: Executor, remote: Remote) -> Iterator[Finding]:
    needed = {
        step.task_name
        for workflow in registry.workflows()
        for step in _with_messages(workflow)
        if queue_of(Step(queue=step.queue or "", task=step.task_name)) in executor.queues
    }
    if unknown := sorted(needed - remote.tasks):
        yield Finding(
            part="workers",
            what=f"{executor} consumes their queue and does not know the tasks "
            f"{', '.join(unknown[:EXAMPLES])}",
            do="Give it the same code and WORKFLOW_APPS, and restart it.",
        )


def _left_steps(executor: Executor, remote: Remote) -> Iterator[Finding]:
    """RUNNING steps that their worker does not run: their outcome could not be recorded."""
    running = Step.objects.filter(
        executor=executor, state=StepState.RUNNING, started_at__lt=clock.now() - OVERDUE
    )
    left = running.exclude(task_id__in=remote.active).select_related("run")
    for step in left[:EXAMPLES]:
        yield Finding(
            part="runs",
            what=f"{step.name} of {step.run} counts as running on {executor}, "
            "which does not run it",
            do="See the worker's log for why its outcome could not be recorded; to end it: "
            f"python manage.py workflow cancel {step.run_id}",
        )


def watch() -> Iterator[Finding]:
    lease = WatchLease.objects.first()
    if lease is None or not leases.alive().exists():
        return
    age = clock.now() - (lease.expires_at - leases.WATCH_LEASE)
    if age > UNWATCHED:
        yield Finding(
            part="watch",
            what=f"no worker has ticked for {age.total_seconds():.0f} s",
            do="See the workers' logs for errors of the watch; restart them.",
        )


def clocks() -> Iterator[Finding]:
    own = timezone.now() - clock.now()
    skewed = [("this machine", own)] if abs(own) > SKEW else []
    for executor in leases.alive():
        off = (executor.clock_at or executor.heartbeat_at) - executor.heartbeat_at
        if abs(off) > SKEW:
            skewed.append((str(executor), off))
    for who, off in skewed:
        seconds = off.total_seconds()
        yield Finding(
            part="clocks",
            what=f"the clock of {who} is {abs(seconds):.0f} s "
            f"{'ahead of' if seconds > 0 else 'behind'} the database's",
            do="Set the clock (NTP): its logs show wrong times. Runs use the database's clock.",
        )
