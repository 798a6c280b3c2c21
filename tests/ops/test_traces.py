"""A request, its run and its children are one trace, at a real collector's address."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from parent.models import Run
from parent.telemetry import tracing
from tests.deploy.conftest import ROOT
from tests.ops.conftest import StartWorker
from tests.ops.web import web_server
from tests.waiting import ended

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(ThreadingHTTPServer):
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_from_the_post_to_the_last_child_it_is_one_trace(
    start_worker: StartWorker, broker: str, token: str, collector: Collector, pool: str
) -> None:
    configured = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    worker = start_worker("-P", pool, "-c", "2", **configured)
    with web_server(broker, token, **configured) as web:
        status = web.post("/workflows/diamond/", {"a": 1}, traceparent=CALLER)
        run = ended(Run.objects.get(pk=status["task_id"]))
    worker.stop()  # both send what they have when they end

    assert run.state == "SUCCESS"
    spans = {span.span_id: span for span in collector.spans}
    of_it = [span for span in spans.values() if span.trace_id.hex() == CALLER.split("-")[1]]
    (post,) = [span for span in of_it if span.name.startswith("POST")]
    assert post.parent_span_id.hex() == CALLER.split("-")[2]
    (parent,) = [span for span in of_it if span.name == "parent.diamond"]
    assert parent.parent_span_id == post.span_id
    assert texts(parent) == {"workflow.name": "diamond", "workflow.run": str(run.pk)}
    children = [span for span in of_it if span.name == "run/flows.add"]
    # Beside a message that came twice: the second is dropped, and has a span all the same.
    assert len({texts(child)["messaging.message.id"] for child in children}) == 4
    # The first has a message. One that follows another needs none, and is under the run itself.
    parents = [spans[child.parent_span_id] for child in children]
    assert any(sent is not parent for sent in parents)
    for sent in parents:
        if sent is not parent:
            assert sent.name == "apply_async/flows.add"
            assert sent.parent_span_id == parent.span_id


def texts(span: Any) -> dict[str, str]:
    """The attributes of a span, those that are text."""
    return {pair.key: pair.value.string_value for pair in span.attributes}


def test_without_an_exporter_nothing_is_traced(settings: LazySettings) -> None:
    assert not tracing.is_on()
    assert tracing.begin("diamond", Run().pk) == ""


def test_a_start_without_the_packages_says_what_to_install(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OTEL_TRACES_EXPORTER = "otlp"
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.instrumentation.celery", None)

    with pytest.raises(ImproperlyConfigured, match="the extra `otel`"):
        tracing.set_up()


@pytest.mark.parametrize("value", [None, "", "none", False])
def test_an_exporter_that_is_off(settings: LazySettings, value: Any) -> None:
    settings.OTEL_TRACES_EXPORTER = value

    tracing.set_up()

    assert not tracing.is_on()


@pytest.mark.parametrize("value", ["jaeger", "OTLP", " ", True, ["otlp"], 1])
def test_an_exporter_that_there_is_not(settings: LazySettings, value: Any) -> None:
    settings.OTEL_TRACES_EXPORTER = value

    with pytest.raises(ImproperlyConfigured, match="is none of otlp, console, none"):
        tracing.set_up()


PROJECT = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_celery_results",
                    "children", "parent"],
    OTEL_TRACES_EXPORTER="console", USE_TZ=True)
django.setup()
from opentelemetry import trace
print(trace.get_tracer_provider().resource.attributes["service.name"])
"""


@pytest.mark.parametrize("named", [{}, {"OTEL_SERVICE_NAME": "shop"}])
def test_a_project_that_names_no_service(named: dict[str, str]) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}

    done = subprocess.run(
        [sys.executable, "-c", PROJECT],
        cwd=ROOT,
        env=kept | named,
        capture_output=True,
        text=True,
        check=False,
    )

    service = named.get("OTEL_SERVICE_NAME", "unknown_service")
    assert done.stdout.startswith(service), done.stderr
