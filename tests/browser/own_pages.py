"""URLs of a site made of the examples in docs/progress-bar.md, beside the service's own URLs."""

import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

from parent.models import Run

TEXT = (Path(settings.BASE_DIR) / "docs/progress-bar.md").read_text()
VENDOR = Path(__file__).parent / "vendor"
TYPES = {".js": "text/javascript", ".css": "text/css"}
REACT = """
export const { createElement, useEffect, useRef } = globalThis.React;
export const { createRoot } = globalThis.ReactDOM;
"""
REACT_PAGE = """<!doctype html><html lang="en"><title>React</title>
<script type="importmap" nonce="own">{"imports": {"react": "/own/react.mjs"}}</script>
<script src="/own/vendor/react.production.min.js"></script>
<script src="/own/vendor/react-dom.production.min.js"></script>
<script type="module" src="/own/app.js"></script><main id="root"></main></html>"""
REACT_APP = """
import { createElement } from "react";
import { createRoot } from "/own/react.mjs";
import { TaskProgress } from "/own/component.js";

const root = createRoot(document.getElementById("root"));
const done = (status) => { document.title = `primes: ${status.result.primes}`; };
window.show = (id) => root.render(
  id && createElement(TaskProgress, { src: `/tasks/${id}/`, label: "Your report", onDone: done }));
show(new URLSearchParams(location.search).get("run"));
"""


def examples(section: str, language: str) -> list[str]:
    """The code blocks in that language in a section of docs/progress-bar.md."""
    text = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def python_names(section: str) -> dict[str, Any]:
    """The names that a section's Python code defines."""
    names: dict[str, Any] = {"__name__": "own_site"}
    for code in examples(section, "python"):
        exec(compile(code, "docs/progress-bar.md", "exec"), names)
    return names


@login_not_required
def plain(request: HttpRequest, number: int) -> HttpResponse:
    """Example `number` of the section, with a real id, token and origin."""
    run = Run.objects.get()
    html = examples("Plain HTML", "html")[number]
    if number:
        html = examples("Plain HTML", "html")[0].split("\n")[0] + html
    html = html.replace("TASK_ID", str(run.pk)).replace("TOKEN", request.GET.get("token", ""))
    service = request.build_absolute_uri("/").replace("localhost", "127.0.0.1")
    html = html.replace("https://workflows.example.org/", service)
    policy = f"default-src 'self'; style-src 'self'; connect-src 'self' {service}"
    return HttpResponse(html, headers={"Content-Security-Policy": policy})


def htmx(request: HttpRequest) -> HttpResponse:
    (button,) = examples("htmx", "django")
    page = (
        '<!doctype html><html lang="en"><title>htmx</title>'
        '<script src="/own/vendor/htmx.min.js"></script>'
        '<script type="module" src="/static/monitor/task-progress.js"></script>'
    )
    template = engines["django"].from_string(page + button)
    return HttpResponse(template.render({}, request))


def django_template(request: HttpRequest) -> HttpResponse:
    """The section's view. It gets its template from the docs, not from a file."""
    names = python_names("Django templates")
    page, texts = examples("Django templates", "django")
    template = page.replace("<body>", f"<body>{texts}")

    def render_example(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        assert name == "report.html"
        return HttpResponse(engines["django"].from_string(template).render(context, request))

    names["render"] = render_example
    answer: HttpResponse = names["report"](request)
    return answer


def react(_request: HttpRequest) -> HttpResponse:
    policy = "default-src 'self'; script-src 'self' 'nonce-own'; style-src 'self'"
    return HttpResponse(REACT_PAGE, headers={"Content-Security-Policy": policy})


def script(_request: HttpRequest, name: str) -> HttpResponse:
    (component,) = examples("React", "js")
    scripts = {"react.mjs": REACT, "app.js": REACT_APP, "component.js": component}
    text = scripts.get(name) or (VENDOR / Path(name).name).read_text()
    return HttpResponse(text, content_type="text/javascript; charset=utf-8")


htmx_views = python_names("htmx")
urlpatterns = [
    path("own/plain/<int:number>/", plain),
    path("own/django/", django_template),
    path("own/htmx/", htmx),
    path("own/htmx/report/", htmx_views["htmx_report"], name="htmx-report"),
    path("own/htmx/<uuid:run_id>/", htmx_views["htmx_result"], name="htmx-result"),
    path("own/react/", react),
    path("own/vendor/<str:name>", script),
    path("own/<str:name>", script),
    path("", include("mainproj.urls")),
]
