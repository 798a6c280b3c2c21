"""The operations on schedules."""

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from monitor.api.documents import describe
from monitor.api.openapi.answers import RETRY_AFTER, SENT, Decorator, Shape, problems
from parent.models import CatchUp, FiringState, Overlap, SkipReason

__all__ = [
    "list_schedules",
    "pause_schedule",
    "read_schedule",
    "reset_schedule",
    "resume_schedule",
    "run_schedule",
]

SCHEDULES = ["schedules"]


class FiringEntry(Shape):
    """What became of one time of a schedule."""

    nominal_at = serializers.DateTimeField(help_text="The time without jitter or delay.")
    state = serializers.ChoiceField(choices=FiringState.choices)
    reason = serializers.ChoiceField(
        choices=SkipReason.choices, allow_blank=True, help_text="Why it was skipped."
    )
    detail = serializers.CharField(allow_blank=True, help_text="The same for people.")
    run_id = serializers.CharField(allow_null=True, help_text="The run that it started.")
    who = serializers.CharField(allow_blank=True, help_text="Who started it by hand.")


class ScheduleEntry(Shape):
    """When a workflow starts by itself."""

    id = serializers.IntegerField()
    workflow = serializers.CharField()
    name = serializers.CharField(help_text="Unique in its workflow.")
    cron = serializers.CharField(allow_blank=True, help_text="Blank where it has `every`.")
    every = serializers.IntegerField(allow_null=True, help_text="Seconds between two times.")
    timezone = serializers.CharField(help_text="In which `cron` is read.")
    params = serializers.DictField(help_text="Of its runs; secrets are hidden.")
    overlap = serializers.ChoiceField(choices=Overlap.choices)
    catch_up = serializers.ChoiceField(choices=CatchUp.choices)
    window = serializers.IntegerField(help_text="Seconds; for `catch_up` of all.")
    jitter = serializers.IntegerField(help_text="Seconds by which a start may be later.")
    in_code = serializers.BooleanField(help_text="False where staff made it.")
    edited = serializers.ListField(
        child=serializers.CharField(), help_text="Fields that staff have changed from the code."
    )
    edited_by = serializers.CharField(allow_blank=True)
    paused_at = serializers.DateTimeField(allow_null=True)
    paused_by = serializers.CharField(allow_blank=True)
    removed_at = serializers.DateTimeField(
        allow_null=True, help_text="When the code stopped declaring it."
    )
    problem = serializers.CharField(allow_blank=True, help_text="Why it cannot come.")
    next_times = serializers.ListField(
        child=serializers.DateTimeField(), help_text="Up to five; none while it is paused."
    )
    last = FiringEntry(allow_null=True, help_text="The last time that started a run.")
    left_out = FiringEntry(allow_null=True, help_text="A later one that did not.")


class SchedulePage(Shape):
    """A page of schedules."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ScheduleEntry(many=True)


list_schedules = describe(
    operation_id="list_schedules",
    summary="The schedules, with their next times",
    description=(
        "Of the workflows that you may start, in pages. It takes the permission "
        "`parent.view_schedule`, and changes take `parent.change_schedule`."
    ),
    tags=SCHEDULES,
    parameters=[
        OpenApiParameter("cursor", str, description="The page, as `next` and `previous` have it."),
        RETRY_AFTER,
    ],
    responses={
        200: OpenApiResponse(SchedulePage, description="One page."),
        **problems(400, 403),
    },
)
read_schedule = describe(
    operation_id="read_schedule",
    summary="One schedule",
    tags=SCHEDULES,
    parameters=[RETRY_AFTER],
    responses={
        200: OpenApiResponse(ScheduleEntry, description="As it is now."),
        **problems(403, 404),
    },
)


def _change_schedule(what: str, summary: str, description: str) -> Decorator:
    return describe(
        operation_id=f"{what}_schedule",
        summary=summary,
        description=description,
        tags=SCHEDULES,
        parameters=[RETRY_AFTER],
        request=None,
        responses={
            200: OpenApiResponse(ScheduleEntry, description="As it is now."),
            **problems(*SENT, 404, 409),
        },
    )


pause_schedule = _change_schedule(
    "pause", "Pause a schedule", "A start that waits for the end of a run is dropped."
)
resume_schedule = _change_schedule(
    "resume",
    "Resume a schedule",
    "Missed times start no run. 409 if the code no longer declares the schedule.",
)
reset_schedule = _change_schedule(
    "reset", "Drop what staff edited", "409 where no code has the schedule."
)
run_schedule = describe(
    operation_id="run_schedule",
    summary="Start a run of a schedule now",
    description=(
        "Also while it is paused. What `overlap` says holds: `state` and `detail` say what became "
        "of it. 409 if the code no longer declares the schedule."
    ),
    tags=SCHEDULES,
    parameters=[RETRY_AFTER],
    request=None,
    responses={
        200: OpenApiResponse(FiringEntry, description="What became of it."),
        **problems(*SENT, 404, 409, 429),
    },
)
