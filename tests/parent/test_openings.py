"""When a step opens, and when it is skipped: every way in which those before it can end."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parent.decisions.openings import OPEN, Decision, Ended, Skip, decide, ended

WORDS = {
    **{"-": None, "ok": Ended.OK, "optional": Ended.TOLERATED, "failed": Ended.FAILED},
    **{"cancelled": Ended.CANCELLED, "skipped": Ended.SKIPPED, "unneeded": Ended.UNNEEDED},
}
RESULTS = {"open": OPEN, "wait": None}


@pytest.mark.parametrize(
    ("before", "ok", "failed", "always"),
    [
        ("", "open", "unneeded", "open"),
        ("-", "wait", "wait", "wait"),
        ("ok", "open", "unneeded", "open"),
        ("optional", "open", "open", "open"),
        ("failed", "skipped", "open", "open"),
        ("cancelled", "skipped", "open", "open"),
        ("skipped", "skipped", "open", "open"),
        ("unneeded", "unneeded", "unneeded", "open"),
        ("ok -", "wait", "wait", "wait"),
        ("ok ok", "open", "unneeded", "open"),
        ("ok optional", "open", "open", "open"),
        ("ok failed", "skipped", "open", "open"),
        ("ok unneeded", "unneeded", "unneeded", "open"),
        ("failed -", "skipped", "wait", "wait"),
        ("cancelled -", "skipped", "wait", "wait"),
        ("skipped -", "skipped", "wait", "wait"),
        ("optional -", "wait", "wait", "wait"),
        ("unneeded -", "wait", "wait", "wait"),
        ("unneeded failed", "skipped", "open", "open"),
        ("unneeded optional", "unneeded", "open", "open"),
        ("failed failed -", "skipped", "wait", "wait"),
        ("ok optional failed", "skipped", "open", "open"),
    ],
)
def test_what_becomes_of_a_step_after_steps_that_ended_so(
    before: str, ok: str, failed: str, always: str
) -> None:
    for words in permutations(before.split()):
        states = {f"s{index}": WORDS[word] for index, word in enumerate(words)}
        found = [word_of(decide(when, states)) for when in ("ok", "failed", "always")]
        assert found == [ok, failed, always]


def word_of(decision: Decision) -> str:
    if isinstance(decision, Skip):
        return decision.how.name.lower()
    return "open" if decision is OPEN else "wait"


@pytest.mark.parametrize(
    ("when", "before", "reason"),
    [
        ("ok", "failed", "a failed"),
        ("ok", "cancelled", "a was cancelled"),
        ("ok", "skipped", "a was skipped"),
        ("ok", "unneeded", "a was not needed"),
        ("failed", "ok", "nothing before it failed"),
    ],
)
def test_a_skip_says_why(when: str, before: str, reason: str) -> None:
    decision = decide(when, {"a": WORDS[before]})
    assert isinstance(decision, Skip)
    assert decision.reason == reason


@pytest.mark.parametrize(
    ("state", "optional", "unneeded", "how"),
    [
        ("WAITING", False, False, "-"),
        ("QUEUED", True, False, "-"),
        ("RUNNING", True, False, "-"),
        ("OK", False, False, "ok"),
        ("OK", True, False, "ok"),
        ("ERROR", False, False, "failed"),
        ("ERROR", True, False, "optional"),
        ("CANCELLED", False, False, "cancelled"),
        ("CANCELLED", True, False, "cancelled"),
        ("SKIPPED", False, False, "skipped"),
        ("SKIPPED", True, False, "skipped"),
        ("SKIPPED", False, True, "unneeded"),
    ],
)
def test_how_a_step_has_ended(state: str, optional: bool, unneeded: bool, how: str) -> None:
    assert ended(state, optional, unneeded) is WORDS[how]


hows = st.sampled_from(Ended)


@given(
    before=st.lists(hows, max_size=6),
    more=st.lists(hows, max_size=3),
    when=st.sampled_from(["ok", "failed", "always"]),
)
def test_a_decision_never_changes_when_more_steps_end(
    before: list[Ended], more: list[Ended], when: str
) -> None:
    """Whatever ends first: so the order in which steps end does not matter."""
    ends = {f"s{index}": how for index, how in enumerate([*before, *more])}
    early: dict[str, Ended | None] = {
        name: how if index < len(before) else None for index, (name, how) in enumerate(ends.items())
    }
    decision = decide(when, early)
    if decision is not None:
        assert word_of(decision) == word_of(decide(when, dict(ends)))
    if not more:
        assert decision is not None
