"""Fixtures: a receiver of webhooks, a mail server, and a workflow with rules."""

from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import default
from queue import Queue
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.conf import LazySettings

from children.meta import Meta
from parent import Step, Workflow
from parent.messages.publish import publishing_off
from parent.models import Delivery, Run
from parent.notifications.courier import Courier
from parent.runs.endings import end_attempt
from tests.flows import tasks
from tests.notifications.receiver import Receiver, receiver
from tests.services import free_port

__all__ = ["SECRET", "deliver", "end", "make_due"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def hook(settings: LazySettings) -> Iterator[Receiver]:
    """A receiver, where webhooks may go to this machine, and wait half a second at most."""
    settings.WORKFLOW_WEBHOOK_ALLOW_PRIVATE = True
    settings.WORKFLOW_NOTIFICATION_TIMEOUT = 0.5
    with receiver() as here:
        yield here


@pytest.fixture
def told(own_registry: None) -> Iterator[Callable[..., Workflow]]:
    """A function that makes a workflow of one step, with these rules."""

    def make(*rules: Any, name: str = "told") -> Workflow:
        return Workflow(name, steps=[Step(tasks.noop)], title="Tell them", notify=[*rules])

    with publishing_off():
        yield make


def end(run: Run, error: str | None = None) -> Run:
    """End its step, and with it the run."""
    meta = Meta().failed(error) if error else Meta().ok(1)
    assert end_attempt(str(run.steps.get().task_id), meta)
    return Run.objects.get(pk=run.pk)


def deliver() -> None:
    """Try all that is due, and wait until all tries are written."""
    courier = Courier()
    courier.turn()
    while courier.busy:
        courier.wait(20)
        courier.turn()


def make_due() -> None:
    """Let the time until the next try pass."""
    Delivery.objects.filter(state="waiting").update(due_at="2020-01-01T00:00Z")


class Mails:
    """A handler of a mail server. `refuses`: what it answers instead of taking a mail."""

    def __init__(self) -> None:
        self.taken: Queue[Message] = Queue()
        self.refuses = ""

    async def handle_DATA(self, *about: Any) -> str:
        envelope = about[2]  # after the server and the session
        if self.refuses:
            return self.refuses
        message = message_from_bytes(envelope.content, policy=default)
        message["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        self.taken.put(message)
        return "250 OK"

    def all(self) -> list[Any]:
        return [self.taken.get_nowait() for _ in range(self.taken.qsize())]


@pytest.fixture
def mails(settings: LazySettings) -> Iterator[Mails]:
    """A real mail server, which the settings name."""
    handler = Mails()
    port = free_port()
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = port
    settings.EMAIL_TIMEOUT = None
    settings.ADMINS = [("Ops", "ops@example.com"), ("Lead", "lead@example.com")]
    settings.DEFAULT_FROM_EMAIL = "flows@example.com"
    settings.WORKFLOW_RUN_URL = "https://flows.example.com/runs/{id}/"
    settings.WORKFLOW_NOTIFICATION_TIMEOUT = 2.0
    yield handler
    server.stop()
