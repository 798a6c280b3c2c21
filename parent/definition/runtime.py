"""The interface through which workflows call the engine. `parent.apps` installs the engine.

Workflows are imported before Django's models can be imported, and the engine imports workflows. So
a workflow calls the engine through this module, and imports point one way.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from parent.models import Run

__all__ = ["Runtime", "install", "runtime"]

W_contra = TypeVar("W_contra", contravariant=True)
"""The type of workflows."""


class Runtime(Protocol[W_contra]):
    """The engine, as workflows and their parent tasks call it."""

    def start(self, workflow: W_contra, params: Mapping[str, Any], owner: "User | None") -> "Run":
        """Write the rows of a new run. Its first children are published when that commits."""

    def start_many(
        self,
        workflow: W_contra,
        params: Iterable[Mapping[str, Any]],
        owner: "User | None",
    ) -> "list[Run]":
        """Write the rows of a run for each of these parameters, in few transactions."""

    def start_or_continue(
        self, workflow: W_contra, params: Mapping[str, Any], run_id: UUID, request: Any
    ) -> None:
        """Handle a parent task's message: start the run, or continue it if it has rows.

        `request` is Celery's, with what follows the task.
        """

    def run_inline(self, workflow: W_contra, params: Mapping[str, Any], request: Any) -> "Run":
        """Run all steps in this process, and return the ended run. `request` is Celery's."""


_installed: Runtime[Any] | None = None


def install(engine: Runtime[Any]) -> None:
    """Make `engine` the one that all workflows of this process use."""
    global _installed  # noqa: PLW0603 - one engine per process
    _installed = engine


def runtime() -> Runtime[Any]:
    """The engine of this process.

    Raises:
        RuntimeError: Django's apps are not loaded.
    """
    if _installed is None:
        raise RuntimeError(
            "The workflow engine is not loaded: add 'parent' to INSTALLED_APPS, and call "
            "django.setup() before you start a workflow."
        )
    return _installed
