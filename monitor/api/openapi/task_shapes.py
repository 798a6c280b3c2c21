"""The shapes of answers about tasks, for the document only: nothing is serialized by them."""

from rest_framework import serializers

from children.meta import Status
from monitor.api.openapi.answers import Shape, Texts
from monitor.runs.items import ITEM_STATES
from parent.models import Awaits, RunState, When

__all__ = ["ItemPage", "ReceivedSignal", "TaskLog", "TaskPage", "TaskStatus"]


class Meta(Shape):
    """The meta that runs and children share."""

    iteration = serializers.IntegerField(help_text="How many of `total` are done.")
    total = serializers.IntegerField(allow_null=True, help_text="Null while it is not known.")
    completion = serializers.FloatField(
        min_value=0, max_value=100, help_text="Percent of the whole; never goes back in a run."
    )
    status = serializers.ChoiceField(
        choices=[status.value for status in Status], help_text="`OK` and `ERROR` are final."
    )
    message = serializers.CharField(allow_blank=True, help_text="One line for people.")
    error = serializers.CharField(
        allow_null=True, help_text="What failed and why, naming the step; null without an error."
    )
    waits_for = serializers.CharField(
        allow_blank=True, help_text="For people; blank when it waits for nothing."
    )
    waits_until = serializers.DateTimeField(
        allow_null=True, help_text="Until when it waits, if that is known."
    )


class ItemCounts(Shape):
    """How many items of a mapped step are in which state."""

    total = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="For a place, or for the delay of a retry.")
    queued = serializers.IntegerField(help_text="For a worker.")
    running = serializers.IntegerField()
    ok = serializers.IntegerField()
    failed = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Because more failed than may.")
    cancelled = serializers.IntegerField()


class TaskStep(Meta):
    """A step as it stands in its run."""

    name = serializers.CharField(help_text="Unique in the run.")
    title = serializers.CharField(help_text="For people; the name where there is no title.")
    task_id = serializers.CharField(
        allow_null=True, help_text="The child's own id; null until it has one."
    )
    state = serializers.ChoiceField(choices=RunState.choices, help_text="Celery's state.")
    attempt = serializers.IntegerField(help_text="0 until it is queued; a retry is the next one.")
    when = serializers.ChoiceField(
        choices=When.choices, help_text="How the steps before it must end so that it runs."
    )
    optional = serializers.BooleanField(help_text="Whether its failure leaves the run as it is.")
    awaits = serializers.ChoiceField(
        choices=["", *Awaits.values],
        help_text="What from outside it waits for in place of a child; blank for a child.",
    )
    items = ItemCounts(
        allow_null=True, help_text="Of a mapped step that has opened; null of any other."
    )
    run_id = serializers.CharField(
        allow_null=True,
        help_text="Of the child run that this step is: a task too. Null of any other step.",
    )
    queued_at = serializers.DateTimeField(
        allow_null=True, help_text="Of this attempt; in the future while a retry is delayed."
    )
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ReceivedSignal(Shape):
    """What a signal was given, or how an approval was decided."""

    run_id = serializers.CharField()
    name = serializers.CharField()
    key = serializers.CharField(
        allow_blank=True, help_text="Of the item that it is, if it feeds a mapped step."
    )
    values = serializers.JSONField(help_text="As they were validated.")
    who = serializers.CharField(allow_blank=True, help_text="Who was the first to give it.")
    at = serializers.DateTimeField(help_text="When it came.")


class TaskItem(Shape):
    """An item of a mapped step."""

    index = serializers.IntegerField(help_text="Its place, from 0.")
    key = serializers.CharField(help_text="Unique in the step: its own, or its index.")
    state = serializers.ChoiceField(choices=ITEM_STATES, help_text="As in the step's counters.")
    task_id = serializers.CharField(
        allow_null=True, help_text="Of this attempt; null until it has one."
    )
    run_id = serializers.CharField(
        allow_null=True,
        help_text="Of the child run that this item is: a task too. Null of an item of a child.",
    )
    iteration = serializers.IntegerField(help_text="How many of `total` are done.")
    total = serializers.IntegerField(allow_null=True, help_text="Null while it is not known.")
    completion = serializers.FloatField(min_value=0, max_value=100, help_text="Percent.")
    message = serializers.CharField(allow_blank=True, help_text="One line for people.")
    error = serializers.CharField(allow_null=True, help_text="Null without an error.")
    attempt = serializers.IntegerField(help_text="0 until it is queued; a retry is the next one.")
    queued_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ItemPage(Shape):
    """A page of items, in their order."""

    next = serializers.URLField(allow_null=True, help_text="The page after this one.")
    previous = serializers.URLField(allow_null=True, help_text="The page before this one.")
    results = TaskItem(many=True)


class TaskLogLine(Shape):
    """A line that a child has logged."""

    id = serializers.CharField(help_text="The same whenever the line is read.")
    run_id = serializers.CharField(help_text="Of its run: this one, or one inside of it.")
    step = serializers.CharField(help_text="The name of its step.")
    item = serializers.CharField(help_text="The key of a mapped step's item; blank of others.")
    attempt = serializers.IntegerField()
    number = serializers.IntegerField(
        help_text="From 1 in each attempt. A gap: lines were dropped, as there were too many."
    )
    at = serializers.DateTimeField()
    level = serializers.CharField(help_text="As `logging` calls it, such as `INFO`.")
    logger = serializers.CharField(help_text="Its name; `print` for what was printed.")
    text = serializers.CharField(help_text="May have several lines.")


class TaskLog(Shape):
    """A page of a log, in the order in which the lines were stored."""

    lines = TaskLogLine(many=True)
    next = serializers.IntegerField(
        help_text="Send it as `after`. Lines of the last seconds come again then, with their ids."
    )
    more = serializers.BooleanField(help_text="There are more lines already.")
    ended = serializers.BooleanField(help_text="The run has ended: no line comes after the last.")


class Standing(Shape):
    """Where a run, or an attempt of one of its steps, stands in line for a place."""

    step = serializers.CharField(
        allow_null=True, help_text="The step or the item; null: the run waits for its turn."
    )
    name = serializers.CharField(help_text="What it waits for: `gpu`, or `shop=7`.")
    use = serializers.CharField(help_text="For people: `2 of 2 in use`.")
    ahead = serializers.IntegerField(help_text="How many wait before it.")
    since = serializers.DateTimeField(help_text="Since when it waits.")
    held_by = serializers.ListField(
        child=serializers.CharField(),
        help_text="The runs that hold the places, of the first five those that the caller may see.",
    )


class TaskStatus(Meta, Texts):
    """The status of a run, or of one child: the same shape."""

    task_id = serializers.CharField(help_text="Of the run, or of the child.")
    run_id = serializers.CharField(help_text="The run's id: the same as `task_id` for a run.")
    parent_run_id = serializers.CharField(
        allow_null=True, help_text="Of the run in which this run is a step; null of any other run."
    )
    periodic_task = serializers.CharField(
        allow_null=True, help_text="The entry of Celery's beat that started the run, else null."
    )
    workflow = serializers.CharField(help_text="The name of the run's workflow.")
    title = serializers.CharField(
        help_text="Of the workflow, or of the child's step, for people; the name if it has none."
    )
    state = serializers.ChoiceField(choices=RunState.choices, help_text="Celery's state.")
    result = serializers.JSONField(
        help_text="Any JSON, when `status` is `OK`; null before, in lists, and where it is large."
    )
    result_url = serializers.CharField(
        allow_null=True, help_text="Where the result is by itself, when `status` is `OK`."
    )
    result_size = serializers.IntegerField(
        allow_null=True, help_text="Size of the result's JSON in bytes; null without a result."
    )
    eta_seconds = serializers.FloatField(
        allow_null=True, help_text="Seconds left at the latest pace; null while it is unknown."
    )
    in_line = Standing(
        many=True, help_text="For which limits it waits, up to ten; empty when it waits for none."
    )
    steps = TaskStep(many=True, help_text="In order; empty for a child.")
    created_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    poll_after_ms = serializers.IntegerField(
        allow_null=True, help_text="When to ask again; null when it has ended."
    )
    version = serializers.IntegerField(help_text="Grows with the run's changes.")


class TaskPage(Texts):
    """A page of runs, the newest first; or the tasks requested by `ids`."""

    next = serializers.URLField(allow_null=True, help_text="The page of older runs.")
    previous = serializers.URLField(allow_null=True, help_text="The page of newer runs.")
    results = TaskStatus(many=True)
