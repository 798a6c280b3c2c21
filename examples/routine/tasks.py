"""Routine tasks as classes: what they share is in the base class, and `work` is their own."""

from time import monotonic
from typing import Any, ClassVar

from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

from children import ChildTask, Progress, child_task

__all__ = ["ClearSessions", "RoutineTask"]


class RoutineTask(ChildTask):
    """A task that takes no inputs, and says how long it took."""

    abstract = True
    title: ClassVar[str] = ""
    description: ClassVar[str] = ""

    def run(self, progress: Progress) -> dict[str, Any]:
        began = monotonic()
        progress.message(self.title)
        found = self.work(progress)
        return {**found, "seconds": round(monotonic() - began, 3)}

    def work(self, progress: Progress) -> dict[str, Any]:
        """Do it; returns what is to be shown."""
        raise NotImplementedError(f"{self.name} has no `work`: write one.")


@child_task(name="routine.clear_sessions")
class ClearSessions(RoutineTask):
    """Deletes the sessions of people who have not been here for long."""

    title = "Clear expired sessions"
    description = "Deletes expired sessions, as `manage.py clearsessions` does."

    def work(self, progress: Progress) -> dict[str, Any]:
        expired = Session.objects.filter(expire_date__lt=timezone.now()).count()
        progress.message(f"{self.title}: {expired}")
        call_command("clearsessions")
        return {"deleted": expired}
