"""Which occasions the end of a run is. Pure."""

from collections.abc import Collection, Sequence

from parent.models import RunState

__all__ = ["failed_before_retry", "first_wanted", "occasions_of"]


def occasions_of(state: str, *, recovered: bool = False) -> tuple[str, ...]:
    """The occasions of a run that has ended in `state`, the most specific first.

    Args:
        recovered: whether a failure came before this success.
    """
    match state:
        case RunState.SUCCESS:
            return ("recovered", "succeeded") if recovered else ("succeeded",)
        case RunState.FAILURE:
            return ("failed",)
        case RunState.REVOKED:
            return ("cancelled",)
    raise ValueError(f"A run that is {state} has not ended.")


def first_wanted(occasions: Sequence[str], on: Collection[str]) -> str | None:
    """What a rule about `on` says of these occasions; None if it says nothing."""
    return next((each for each in occasions if each in on), None)


def failed_before_retry(history: Sequence[str]) -> bool | None:
    """Whether a run had failed before its last retry; None if nobody has retried it.

    Args:
        history: what was done to the run, in order: "cancel", "retry".
    """
    if "retry" not in history:
        return None
    last = len(history) - 1 - history[::-1].index("retry")
    return last == 0 or history[last - 1] != "cancel"
