"""The page of one run, and the actions of its buttons without JavaScript."""

from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template import TemplateDoesNotExist
from django.template.loader import get_template, render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.views.generic import View

from children.meta import Status
from monitor.apply_policy import (
    find_run,
    find_to_change,
    may_start,
)
from monitor.http.namespace import namespace_of, our_url
from monitor.http.our_view import OurPage
from monitor.pages.drawing.graph import Graph, Node, draw, with_feed
from monitor.pages.drawing.timeline import Timeline, timeline_of
from monitor.pages.history import history_of
from monitor.pages.live import HEADER, LivePart, render_live
from monitor.pages.retrying.form import RetryForm
from monitor.pages.steps.details import Opened, may_see_details
from monitor.pages.steps.groups import MOST, step_groups
from monitor.pages.typical_duration import typical_seconds
from monitor.policy import policy
from monitor.runs.approvals import asked_of, closable_of
from monitor.runs.input_files import file_answer, inputs_of, names_of_times
from monitor.runs.mapped import has_runs, mapped_steps
from monitor.runs.results import beginning, is_large, pretty_beginning, result_answer
from monitor.runs.snapshot import Snapshot, task_status
from monitor.texts.sentences import in_readers_language
from monitor.texts.status_words import share, state_word
from parent.definition.parameters.secrets import secrets_of, shown_params
from parent.deletion.delete import delete_run
from parent.errors import CannotRetry, InsideRun, InvalidRetry, RunActive, RunEnded, UnknownRun
from parent.models import Run, RunState, Step, StepState
from parent.runs.cancel import cancel
from parent.store.leases import any_executor_alive

__all__ = ["RunAction", "RunCancel", "RunDelete", "RunFile", "RunPage", "RunResult"]

ICONS = {word: word for word in ("queued", "done", "failed", "cancelled")}
"""The icon of a run's page by its state; that of all others is `running`."""


class RunPage(OurPage, View):
    """One run: progress bars, timeline, and its result or error."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        task, now = Snapshot([run_id]).task(request.user), timezone.now()
        run, steps = task.run, task.steps
        if task.child is not None:
            return redirect(our_url(request, "run", run.pk))
        may_change = policy().may_change(cast(User, request.user), run)
        may_start_it = may_start(request.user, run.workflow)
        may_retry = may_change and may_start_it and not run.is_child
        can_retry = may_retry and run.state in Run.RETRIED_FROM
        status = task_status(task, now=now, namespace=namespace_of(request))
        errors: dict[Any, str] = {**task.errors}
        for each in (status, *status["steps"]):
            each["error"] = errors.get(each["error"], each["error"])
        most = None if request.GET.get("steps") == "all" else MOST
        opened = Opened.of(request, run) if may_see_details(request.user) else None
        open_steps = opened.steps if opened else ()
        timeline = timeline_of(run, steps, now=now, most=most, first=open_steps)
        context = {
            "title": tab_title(status),
            "icon": f"monitor/icon-{ICONS.get(state_word(status), 'running')}.svg",
            "run": run,
            "status": status,
            "groups": step_groups(status["steps"], most=most),
            "steps_done": sum(step["status"] == Status.OK for step in status["steps"]),
            "now": now,
            "graph": run_graph(request, steps, status, timeline),
            "timeline": timeline,
            "opened": opened,
            # Only for the whole page: no part that is kept up to date shows it.
            "usual": None if HEADER in request.headers else typical_seconds().get(run.workflow),
            "mapped": mapped_steps(
                steps, {row["name"]: row["title"] for row in status["steps"]}, run.workflow
            ),
            "result": result_html(run),
            "inputs": inputs_of(shown_params(run), run.files, times=names_of_times(run.workflow)),
            "history": history_of(run, secrets=secrets_of(run)),
            "asked": asked_of(request.user, run) if any(s.awaits for s in steps) else [],
            "closable": closable_of(request.user, run, steps) if not run.ended else [],
            "may_change": may_change,
            "may_retry": may_retry,
            "can_retry": can_retry,
            "retry_form": RetryForm(run, steps, status["steps"]) if can_retry and steps else None,
            "child_runs": [step for step in status["steps"] if step["run_id"] is not None],
            "may_start": may_start_it,
            "no_worker": not run.ended and not any_executor_alive(),
        }
        return render_live(request, "monitor/run.html", context, _live_parts(run, steps, context))


def tab_title(status: dict[str, Any]) -> str:
    """The title of a run's page: how far it is while it runs, else its state. As in `run.js`."""
    word = state_word(status)
    said = share(status) if word == "running" else f"{capfirst(gettext(word))}:"
    return f"{said} {status['title']}".strip()


def run_graph(
    request: HttpRequest, steps: Sequence[Step], status: dict[str, Any], timeline: Timeline
) -> Graph | None:
    """The graph of a run; each step leads to its run, its runs, or its row in the timeline."""
    drawn = {row.index for row in timeline.rows}

    def leads(step: Step) -> tuple[str, str]:
        """The address, and what is there if that is another page."""
        if step.child_run_id is not None:
            return our_url(request, "run", step.child_run_id), gettext("Page of this run")
        if has_runs(step) and (step.items or {}).get("total"):
            words = gettext("All items, with the pages of their runs")
            return our_url(request, "run-all-items", step.run_id, step.name), words
        return f"{'' if step.index in drawn else '?steps=all'}#step-{step.index}", ""

    nodes = [
        Node(
            name=row["name"],
            title=row["title"],
            when=row["when"],
            optional=row["optional"],
            state=row["state"],
            word=state_word(row),
            awaits=row["awaits"],
            why=in_readers_language(row["message"]) if step.state == StepState.SKIPPED else there,
            href=href,
        )
        for step, row in zip(steps, status["steps"], strict=True)
        for href, there in [leads(step)]
    ]
    return draw(nodes, {step.name: with_feed(step.after, step.fed_by) for step in steps})


def _live_parts(run: Run, steps: Sequence[Step], context: dict[str, Any]) -> list[LivePart]:
    moves = [(step.attempt, step.state, step.queued_at, step.finished_at) for step in steps]
    ended = (run.state, run.finished_at)
    found = opened.found if (opened := context["opened"]) else None
    depends_on = {
        "notices": context["no_worker"],
        "graph": context["graph"],
        "in_line": context["status"]["in_line"],
        "items": (context["mapped"], context["can_retry"], found),
        "child_runs": [(step["run_id"], step["state"]) for step in context["child_runs"]],
        "asked": (
            [(each.name, each.since) for each in context["asked"]],
            [each.name for each in context["closable"]],
        ),
        "timeline": (moves, run.finished_at, found),
        "result": ended,
        "retry": (context["can_retry"], moves if context["can_retry"] else ()),
        "facts": ended,
        "history": context["history"],
        "delete": (run.ended, context["may_change"]),
    }
    return [
        LivePart(id=id, template=f"monitor/live/{id}.html", depends_on=values)
        for id, values in depends_on.items()
    ]


class RunAction(OurPage, View):
    """An action of a button on a run's page."""

    request: HttpRequest

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = self.find(request, run_id)
        try:
            self.act(run, request.user.get_username())
        except (CannotRetry, InsideRun, InvalidRetry, RunActive, RunEnded, UnknownRun) as refused:
            messages.warning(request, in_readers_language(str(refused)))
        return self.then(run)

    def find(self, request: HttpRequest, run_id: UUID) -> Run:
        return find_to_change(request.user, run_id)

    act: Callable[[Run, str], Any]

    def then(self, run: Run) -> HttpResponse:
        return redirect(our_url(self.request, "run", run.pk))


class RunCancel(RunAction):
    """Cancels a run."""

    def act(self, run: Run, who: str) -> None:
        cancel(run.pk, who=who)


class RunDelete(RunAction):
    """Deletes a run that has ended."""

    def act(self, run: Run, _who: str) -> None:
        delete_run(run)

    def then(self, run: Run) -> HttpResponse:
        if Run.objects.filter(pk=run.pk).exists():
            return super().then(run)
        return redirect(our_url(self.request, "runs"))


class RunFile(OurPage, View):
    """A file among a run's inputs, to download."""

    def get(self, request: HttpRequest, run_id: UUID, number: int) -> HttpResponseBase:
        run = find_run(request.user, run_id)
        return file_answer(inputs_of(shown_params(run), run.files), number)


class RunResult(OurPage, View):
    """A run's result as a JSON file."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        task = Snapshot([run_id], results=False).task(request.user)
        answer = result_answer(request, task)
        name = f"{task.run.workflow}-{task.task_id}.json"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


def result_html(run: Run) -> SafeString:
    """The result as HTML: by the workflow's template if it has one, else as JSON.

    Empty without a result. The template is `<workflow>/result.html`; it gets `result` and `run`.
    The page shows only the beginning of long JSON.
    """
    if run.state != RunState.SUCCESS:
        return SafeString()
    if is_large(run):
        return SafeString(render_to_string("monitor/large_result.html", beginning(run)))
    try:
        template = get_template(f"{run.workflow}/result.html")
    except TemplateDoesNotExist:
        return SafeString(render_to_string("monitor/result.html", pretty_beginning(run)))
    return SafeString(template.render({"result": run.result, "run": run}))
