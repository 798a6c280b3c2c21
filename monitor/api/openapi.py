"""Decorators that describe the API's operations for the OpenAPI document."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from monitor.api.documents import StartSchema, describe
from monitor.api.requests import (
    IDEMPOTENCY_KEY,
    INSTEAD,
    LANG,
    LONGEST_KEY,
    ItemQuery,
    LogQuery,
    RetryRequest,
    RunQuery,
)
from monitor.api.schema_shapes import (
    FiringEntry,
    Health,
    ItemPage,
    NotReady,
    Problem,
    Readiness,
    ReceivedSignal,
    ScheduleEntry,
    SchedulePage,
    TaskLog,
    TaskPage,
    TaskStatus,
    WorkflowEntry,
)
from monitor.http.problems import PROBLEM_JSON

__all__ = [
    "cancel_task",
    "close_signal",
    "delete_task",
    "give_signal",
    "health",
    "list_items",
    "list_schedules",
    "list_tasks",
    "list_workflows",
    "pause_schedule",
    "read_log",
    "read_result",
    "read_schedule",
    "read_task",
    "ready",
    "reset_schedule",
    "resume_schedule",
    "retry_task",
    "run_schedule",
    "start",
]

Decorator = Callable[[Any], Any]

REASONS = {
    304: "Nothing has changed since the answer with that `ETag`.",
    400: "The request cannot be read, or fields of it are wrong: `errors` names them.",
    401: "No login, or a wrong token.",
    403: "The login does not suffice, or a session's request lacks its CSRF token.",
    404: "There is no such thing, or it is not the caller's.",
    406: "The answer is JSON, and `Accept` refuses that.",
    409: "It does not go with the state that the run is in.",
    411: "The request has no Content-Length.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    429: "Too many requests: wait as long as `Retry-After` says.",
    503: "The database is away: ask again after `Retry-After`. No run is lost.",
    507: "The server has no space left to store this.",
}
TASKS, WORKFLOWS, SERVICE = ["tasks"], ["workflows"], ["service"]
SCHEDULES = ["schedules"]


def _problems(*statuses: int) -> dict[Any, Any]:
    """The problem documents of an operation: these statuses, and those of every operation."""
    return {
        (status, PROBLEM_JSON): OpenApiResponse(Problem, description=REASONS[status])
        for status in sorted({401, 406, 503, *statuses})
    }


def _header(name: str, description: str, *statuses: int, **more: Any) -> OpenApiParameter:
    """A header of the answers with these statuses; without any, of the request."""
    return OpenApiParameter(
        name,
        more.pop("type", str),
        OpenApiParameter.HEADER,
        description=description,
        response=list(statuses) or False,
        **more,
    )


RETRY_AFTER = _header("Retry-After", "Seconds to wait.", 429, 503, type=int)
ETAG = _header("ETag", "Send it as `If-None-Match` with the next poll.", 200, 304)
IF_NONE_MATCH = _header("If-None-Match", "The `ETag` of the answer that the caller has.")
LOCATION = _header("Location", "Where the status of the run is.", 200, 202)
INSTEAD_HEADER = _header(
    INSTEAD,
    "`skipped` or `existing`: no run was started, and this is the one that goes on.",
    200,
    type={"type": "string", "enum": ["skipped", "existing"]},
)
# A schema of our own: drf-spectacular drops the pattern of a header otherwise.
IDEMPOTENCY = _header(
    IDEMPOTENCY_KEY,
    "With the same key and the same parameters, the same owner gets the same run; "
    "with other parameters it is a 409.",
    type={"type": "string", "pattern": f"^[!-~]{{1,{LONGEST_KEY}}}$"},
)

ITEM_KEY = _header(
    IDEMPOTENCY_KEY,
    "Of a signal that feeds a mapped step: the key of its item. Without one it gets a number.",
    type={"type": "string", "pattern": "^[!-~]{1,200}$"},
)

IN_LANGUAGE = OpenApiParameter("lang", str, description=LANG)
NOT_MODIFIED = {304: OpenApiResponse(description=REASONS[304])}
SENT = (403, 411, 413)
"""The statuses of every operation that may have a body."""
UNSAFE = (*SENT, 400, 415)


def start(name: str, description: str, request: dict[str, Any]) -> Decorator:
    """The start of one workflow; `request` has a serializer for each type of body."""
    return describe(
        by=StartSchema,
        operation_id=f"start_{name}",
        summary=f"Start {name}",
        description=description or f"Starts a run of {name}.",
        tags=WORKFLOWS,
        parameters=[IDEMPOTENCY, LOCATION, INSTEAD_HEADER, RETRY_AFTER],
        request=request,
        responses={
            200: OpenApiResponse(
                TaskStatus, description="Not started, because this run goes on already."
            ),
            202: OpenApiResponse(TaskStatus, description="Started; poll its status."),
            **_problems(*UNSAFE, 404, 409, 429, 507),
        },
    )


list_workflows = describe(
    operation_id="list_workflows",
    summary="The workflows that can be started",
    description="Each with its steps, and a JSON Schema of the parameters that a start takes.",
    tags=WORKFLOWS,
    parameters=[RETRY_AFTER],
    responses={
        200: OpenApiResponse(WorkflowEntry(many=True), description="All of them, by name."),
        **_problems(),
    },
)
list_tasks = describe(
    operation_id="list_tasks",
    summary="Your runs, or several tasks at once",
    description=(
        "Without `ids`: your runs, the newest first, in pages; staff see everybody's. "
        "With `ids`: one page with these runs and children, in the order asked for; those that "
        "do not exist, or are not yours, are missing. Polling many costs about as much as "
        "polling one. No list carries results: they are at `result_url`."
    ),
    tags=TASKS,
    parameters=[RunQuery, IF_NONE_MATCH, ETAG, RETRY_AFTER],
    responses={
        200: OpenApiResponse(TaskPage, description="One page."),
        **NOT_MODIFIED,
        **_problems(400),
    },
)
list_items = describe(
    operation_id="list_items",
    summary="The items of a mapped step",
    description=(
        "In their order, in pages; with `state` only those in that state. How many there are of "
        "each is in `items` of the step in the run's status, which costs the same for any number. "
        "Of a step over a workflow each item has the `run_id` of its child run."
    ),
    tags=TASKS,
    parameters=[ItemQuery, IF_NONE_MATCH, ETAG, RETRY_AFTER],
    responses={
        200: OpenApiResponse(ItemPage, description="One page."),
        **NOT_MODIFIED,
        **_problems(400, 404),
    },
)
read_task = describe(
    operation_id="read_task",
    summary="The status of a run, or of one child",
    description=(
        "Ask again after `poll_after_ms`, with the `ETag` of the last answer as `If-None-Match`: "
        "`304` says that nothing has changed, `poll_after_ms` included. A result that is larger "
        "than the service's limit is not in it: it is at `result_url`."
    ),
    tags=TASKS,
    parameters=[IN_LANGUAGE, IF_NONE_MATCH, ETAG, RETRY_AFTER],
    responses={
        200: OpenApiResponse(TaskStatus, description="As it is now."),
        **NOT_MODIFIED,
        **_problems(404),
    },
)
read_log = describe(
    operation_id="read_log",
    summary="What the children of a run have logged",
    description=(
        "In pages, while the run goes on and after it, with the runs inside of it. To follow it, "
        "ask again with `next` of the last answer as `after`, until `ended` is true and `more` is "
        "not, and leave out lines whose `id` you have. Of each attempt the first and the last "
        "lines are kept."
    ),
    tags=TASKS,
    parameters=[LogQuery, IF_NONE_MATCH, ETAG, RETRY_AFTER],
    responses={
        200: OpenApiResponse(TaskLog, description="One page."),
        **NOT_MODIFIED,
        **_problems(400, 404),
    },
)
read_result = describe(
    operation_id="read_result",
    summary="The result of a run, or of one child",
    description="By itself, of any size. 404 also where the task has not ended well.",
    tags=TASKS,
    parameters=[IF_NONE_MATCH, ETAG, RETRY_AFTER],
    responses={
        200: OpenApiResponse({}, description="Any JSON."),
        **NOT_MODIFIED,
        **_problems(404),
    },
)
cancel_task = describe(
    operation_id="cancel_task",
    summary="Cancel a run",
    description="What waits ends at once, what runs at its next report. 409 when it has ended.",
    tags=TASKS,
    parameters=[IN_LANGUAGE, RETRY_AFTER],
    request=None,
    responses={
        202: OpenApiResponse(TaskStatus, description="It is being cancelled, or is already."),
        **_problems(*SENT, 404, 409),
    },
)
retry_task = describe(
    operation_id="retry_task",
    summary="Try a failed or cancelled run again",
    description=(
        "Goes on from the failed or cancelled steps, under the same id; or from `step` on. "
        "409 unless the run has failed or was cancelled."
    ),
    tags=TASKS,
    parameters=[IN_LANGUAGE, RETRY_AFTER],
    request={"application/json": RetryRequest},
    responses={
        202: OpenApiResponse(TaskStatus, description="It goes on."),
        **_problems(*UNSAFE, 404, 409, 429),
    },
)
ANY_VALUES = {"type": "object", "additionalProperties": {}}
give_signal = describe(
    operation_id="give_signal",
    summary="Give a run a signal, or decide an approval",
    description=(
        "The body has the fields that the workflow declares for the signal (`signals` of the "
        "workflow has its schema). Of an approval these are `decision` (`approve` or `reject`), "
        "`comment` and the fields of its form. It counts whether or not the run waits for it "
        "already; the first one counts. The same again is the same answer; other values, and a "
        "signal that is closed, are a 409. Of a signal that feeds a mapped step each one counts, "
        "and is an item: those with the same key are the same one. The key is taken from the "
        "values, where the workflow says so, else from the header `Idempotency-Key`."
    ),
    tags=TASKS,
    parameters=[ITEM_KEY, RETRY_AFTER],
    request={"application/json": ANY_VALUES},
    responses={
        200: OpenApiResponse(ReceivedSignal, description="It is stored."),
        **_problems(*UNSAFE, 404, 409),
    },
)
close_signal = describe(
    operation_id="close_signal",
    summary="Close a signal",
    description=(
        "What waits for it is skipped, which is no failure. 409 when it has come. One that feeds a "
        "mapped step is over: the step ends with its items. 409 when it is closed already."
    ),
    tags=TASKS,
    parameters=[RETRY_AFTER],
    request=None,
    responses={
        204: OpenApiResponse(description="It is closed."),
        **_problems(*SENT, 404, 409),
    },
)
delete_task = describe(
    operation_id="delete_task",
    summary="Delete a run",
    description="With all that belongs to it: steps, results and files. 409 while it runs.",
    tags=TASKS,
    parameters=[RETRY_AFTER],
    responses={
        204: OpenApiResponse(description="Nothing of it remains."),
        **_problems(*SENT, 404, 409),
    },
)
ready = describe(
    operation_id="ready",
    summary="Whether runs can go on",
    description="For staff, and for programs that send the `METRICS_TOKEN` as a bearer's.",
    tags=SERVICE,
    auth=[{"cookieAuth": []}],
    responses={
        200: OpenApiResponse(Readiness, description="Database, broker and a worker answer."),
        (503, PROBLEM_JSON): OpenApiResponse(
            NotReady, description="One of them does not: `detail` says what to do."
        ),
        **{key: value for key, value in _problems(403).items() if key[0] != 503},
    },
)

health = describe(
    operation_id="health",
    summary="Whether the process answers",
    tags=SERVICE,
    responses={
        200: OpenApiResponse(Health, description="It does."),
        (406, PROBLEM_JSON): OpenApiResponse(Problem, description=REASONS[406]),
    },
)

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
        **_problems(400, 403),
    },
)
read_schedule = describe(
    operation_id="read_schedule",
    summary="One schedule",
    tags=SCHEDULES,
    parameters=[RETRY_AFTER],
    responses={
        200: OpenApiResponse(ScheduleEntry, description="As it is now."),
        **_problems(403, 404),
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
            **_problems(*SENT, 404, 409),
        },
    )


pause_schedule = _change_schedule(
    "pause", "Pause a schedule", "What waits for the end of a run is given up."
)
resume_schedule = _change_schedule(
    "resume",
    "Resume a schedule",
    "Nothing that was missed starts. 409 where the code has the schedule no more.",
)
reset_schedule = _change_schedule(
    "reset", "Drop what staff edited", "409 where no code has the schedule."
)
run_schedule = describe(
    operation_id="run_schedule",
    summary="Start a run of a schedule now",
    description=(
        "Also while it is paused. What `overlap` says holds: `state` and `detail` say what became "
        "of it. 409 where the code has the schedule no more."
    ),
    tags=SCHEDULES,
    parameters=[RETRY_AFTER],
    request=None,
    responses={
        200: OpenApiResponse(FiringEntry, description="What became of it."),
        **_problems(*SENT, 404, 409, 429),
    },
)
