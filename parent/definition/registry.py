"""The workflows of a process, by name."""

from typing import Generic, Protocol, TypeVar

from parent.errors import UnknownWorkflow

__all__ = ["Registry"]


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str: ...


W = TypeVar("W", bound=Named)


class Registry(Generic[W]):
    """Workflows by their names."""

    def __init__(self) -> None:
        self._workflows: dict[str, W] = {}
        self._duplicates: list[str] = []

    def register(self, workflow: W) -> None:
        """Add a workflow. A second one of the same name is not added: a system check reports it."""
        if workflow.name in self._workflows:
            self._duplicates.append(workflow.name)
        else:
            self._workflows[workflow.name] = workflow

    def __contains__(self, name: str) -> bool:
        return name in self._workflows

    def get(self, name: str) -> W:
        """The workflow of that name.

        Raises:
            UnknownWorkflow: none of that name is registered in this process.
        """
        try:
            return self._workflows[name]
        except KeyError:
            known = ", ".join(self.names()) or "none"
            raise UnknownWorkflow(
                f"There is no workflow {name!r}; registered are: {known}."
            ) from None

    def names(self) -> list[str]:
        return sorted(self._workflows)

    def workflows(self) -> list[W]:
        return [self._workflows[name] for name in self.names()]

    def duplicates(self) -> list[str]:
        return list(self._duplicates)
