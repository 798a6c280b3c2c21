"""What several of our admin pages share."""

from typing import Any

__all__ = ["ReadOnly"]


class ReadOnly:
    """No row can be added, changed or deleted: only the engine writes rows."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False
