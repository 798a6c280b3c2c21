"""The id of a task in an address: any spelling of a UUID, as in `?ids=`."""

from uuid import UUID

__all__ = ["TaskId"]


class TaskId:
    """Django's own converter takes lower case with hyphens alone."""

    regex = "[^/]+"

    def to_python(self, value: str) -> UUID:
        """The id. A ValueError is a 404."""
        return UUID(value.strip())

    def to_url(self, value: UUID | str) -> str:
        return str(value)
