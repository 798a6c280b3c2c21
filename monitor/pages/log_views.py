"""The page of a run's log, and the log as a text file."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.generic import View

from monitor.api.request_options import LogQuery
from monitor.apply_policy import find_run
from monitor.http.our_view import OurPage
from monitor.runs.titles import step_titles
from parent.logs.read import LEVELS, LogLine, read_log
from parent.models import Run, Step

__all__ = ["LogPage", "LogText"]


class ShownLine(NamedTuple):
    """A line, and how many before it were left out, for there were too many."""

    line: LogLine
    left_out: int


class LogPage(OurPage, View):
    """What the children of a run have logged; a script appends what comes."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = find_run(request.user, run_id)
        given = _given(request)
        page = read_log(run, **given)
        names = list(Step.objects.filter(run=run).order_by("index").values_list("name", flat=True))
        titles = step_titles(run.workflow, names)
        narrowed = {name: value for name, value in request.GET.items() if name != "after" and value}
        context = {
            "run": run,
            "lines": list(_shown(page.lines)),
            "page": page,
            "steps": [(name, titles[name]) for name in names],
            "levels": LEVELS,
            "chosen": narrowed,
            "is_narrowed": bool(narrowed),
            "query": urlencode(narrowed),
            "is_later": given.get("after", 0) > 0,
        }
        return render(request, "monitor/log.html", context)


class LogText(OurPage, View):
    """The log as a text file, one page of the log after another."""

    def get(self, request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
        run = find_run(request.user, run_id)
        answer = StreamingHttpResponse(
            _as_text(run, _given(request)), content_type="text/plain; charset=utf-8"
        )
        answer["Content-Disposition"] = f'attachment; filename="{run.pk}.log"'
        return answer


def _given(request: HttpRequest) -> dict[str, Any]:
    """The arguments of `read_log`. What a form leaves blank is not given."""
    query = LogQuery(data={name: value for name, value in request.GET.items() if value})
    return query.narrow() if query.is_valid() else {}


def _shown(lines: Sequence[LogLine]) -> Iterator[ShownLine]:
    latest: dict[tuple[UUID, str, str, int], int] = {}
    for line in lines:
        attempt = (line.run_id, line.step, line.item, line.attempt)
        before = latest.get(attempt, line.number - 1)
        latest[attempt] = line.number
        yield ShownLine(line, line.number - before - 1)


def _as_text(run: Run, given: dict[str, Any]) -> Iterator[str]:
    while True:
        page = read_log(run, **given)
        for line in page.lines:
            yield f"{line.as_text()}\n"
        if not page.more:
            return
        given = {**given, "after": page.next}
