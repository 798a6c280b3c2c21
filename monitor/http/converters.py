"""The id of a task in a URL: any spelling of a UUID, as in `?ids=`."""

from uuid import UUID

__all__ = ["TaskId"]


class TaskId:
    """Django's own converter takes only lower case with hyphens."""

    regex = "[^/]+"

    def to_python(self, value: str) -> UUID:
        """The id. A ValueError is a 404."""
        return UUID(value.strip())

    def to_url(self, value: UUID | str) -> str:
        return str(value)
