"""What an attempt of a child leaves to the next one: a value, and how far its loops came."""

import json
from typing import Any

from children.errors import CheckpointInvalid, ResultNotJSON
from children.sanitize import check_json

__all__ = ["CHECKPOINT_LIMIT", "Checkpoint"]

CHECKPOINT_LIMIT = 65_536
"""Bytes of JSON. Each report writes it, so it is a place in the work, and not the work itself."""


class Checkpoint:
    """The checkpoint of the attempt before, and that of this one.

    Args:
        stored: what the attempt before left, as `as_json` returned it; None at first.
    """

    def __init__(self, stored: Any = None) -> None:
        kept = stored if isinstance(stored, dict) else {}
        self.before = self._value = kept.get("value")
        self._done: list[int] = list(kept.get("done", ()))
        self._loops = 0
        self._in_loop = False
        self.changed = False
        """Whether this attempt has a checkpoint of its own."""

    def set(self, value: Any) -> None:
        """Replace the value.

        Raises:
            CheckpointInvalid: it is not JSON, or too large.
        """
        try:
            size = check_json(value, "the checkpoint is")
        except ResultNotJSON as exc:
            raise CheckpointInvalid(f"{exc}. Give dicts, lists, strings and numbers.") from exc
        if size > CHECKPOINT_LIMIT:
            raise CheckpointInvalid(
                f"the checkpoint has {size:,} bytes of JSON; at most {CHECKPOINT_LIMIT:,} are "
                "kept. Keep the place in the work, such as an id, and store the rest elsewhere."
            )
        # A copy: the body may go on to change the value.
        self._value, self.changed = json.loads(json.dumps(value)), True

    def enter_loop(self) -> tuple[int, int]:
        """Begin a loop that resumes; return its number, and how many items are done already.

        Raises:
            CheckpointInvalid: inside another loop that resumes, or too many loops.
        """
        if self._in_loop:
            raise CheckpointInvalid(
                "track(resume=True) inside another one: which item of the inner loop was done last "
                "would not be known. Let one of the two resume."
            )
        number, self._loops, self._in_loop = self._loops, self._loops + 1, True
        if number == len(self._done):
            self._done.append(0)
            if 8 * number > CHECKPOINT_LIMIT:
                raise CheckpointInvalid(
                    f"{number:,} loops with resume=True in one child: their places are too large "
                    "for a checkpoint. Let an outer loop resume."
                )
        return number, self._done[number]

    def count(self, number: int, done: int) -> None:
        """So many items of the loop are done."""
        self._done[number] = done
        self.changed = True

    def leave_loop(self) -> None:
        """The loop has ended, or the body has left it."""
        self._in_loop = False

    def as_json(self) -> dict[str, Any] | None:
        """What to store; None if this attempt has nothing of its own yet."""
        if not self.changed:
            return None
        return {"value": self._value, "done": list(self._done)}
