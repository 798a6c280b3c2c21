"""The schedule of faults."""

from chaos.schedule import DECK, Kind, schedule


def test_a_seed_gives_the_same_faults_again() -> None:
    assert schedule(7, 180) == schedule(7, 180)
    assert schedule(7, 180) != schedule(8, 180)


def test_a_longer_schedule_begins_like_a_shorter_one() -> None:
    short, long = schedule(7, 60), schedule(7, 180)

    assert long[: len(short)] == short
    assert long[len(short)].at >= 60


def test_every_kind_of_fault_comes_in_each_round() -> None:
    rounds = schedule(7, 600)

    assert {fault.kind for fault in rounds[: sum(DECK.values())]} == set(Kind)
