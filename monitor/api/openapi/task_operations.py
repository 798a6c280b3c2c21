"""The operations on tasks: the runs, and the children in them."""

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from monitor.api.documents import describe
from monitor.api.openapi.answers import (
    ETAG,
    IF_NONE_MATCH,
    NOT_MODIFIED,
    RETRY_AFTER,
    SENT,
    UNSAFE,
    header,
    problems,
)
from monitor.api.openapi.task_shapes import ItemPage, ReceivedSignal, TaskLog, TaskPage, TaskStatus
from monitor.api.request_options import (
    IDEMPOTENCY_KEY,
    LANG,
    ItemQuery,
    LogQuery,
    RetryRequest,
    RunQuery,
)

__all__ = [
    "cancel_task",
    "close_signal",
    "delete_task",
    "give_signal",
    "list_items",
    "list_tasks",
    "read_log",
    "read_result",
    "read_task",
    "retry_task",
]

TASKS = ["tasks"]

ITEM_KEY = header(
    IDEMPOTENCY_KEY,
    "Of a signal that feeds a mapped step: the key of its item. Without one it gets a number.",
    type={"type": "string", "pattern": "^[!-~]{1,200}$"},
)

IN_LANGUAGE = OpenApiParameter("lang", str, description=LANG)


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
        **problems(400),
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
        **problems(400, 404),
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
        **problems(404),
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
        **problems(400, 404),
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
        **problems(404),
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
        **problems(*SENT, 404, 409),
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
        **problems(*UNSAFE, 404, 409, 429),
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
        **problems(*UNSAFE, 404, 409),
    },
)
close_signal = describe(
    operation_id="close_signal",
    summary="Close a signal",
    description=(
        "The steps that wait for it are skipped, which is not a failure. 409 if it has come. If "
        "it feeds a mapped step, the step ends with the items that it has. 409 if it is closed "
        "already."
    ),
    tags=TASKS,
    parameters=[RETRY_AFTER],
    request=None,
    responses={
        204: OpenApiResponse(description="It is closed."),
        **problems(*SENT, 404, 409),
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
        **problems(*SENT, 404, 409),
    },
)
