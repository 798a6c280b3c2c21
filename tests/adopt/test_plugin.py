"""The pytest plugin for the tests of a team, in a pytest of the team's project."""

from tests.adopt.conftest import PYTEST, MakeTeam

CONFTEST = 'pytest_plugins = ["parent.pytest_plugin"]\n'
TESTS = """
import pytest
from parent.errors import InvalidParams, RunFailed
from people.models import User
from shop.workflows import fails, weigh_all


def test_weighs(run_workflow):
    assert run_workflow(weigh_all, parcels=3).result == {"kilos": 3}


def test_is_of_ann(run_workflow):
    ann = User.objects.create_user("ann@example.com")
    assert run_workflow(weigh_all, owner=ann, parcels=1).owner == ann


def test_leaves_nothing(run_workflow):
    assert not User.objects.exists()


def test_fails_as_it_should(run_workflow):
    with pytest.raises(RunFailed, match="no scales"):
        run_workflow(fails)


def test_bad_params(run_workflow):
    with pytest.raises(InvalidParams):
        run_workflow(weigh_all, parcels=13)


def test_fails_and_should_not(run_workflow):
    run_workflow(fails)
"""


def test_a_workflow_runs_to_its_end_in_one_line(make_team: MakeTeam) -> None:
    team = make_team()
    (team.folder / "conftest.py").write_text(CONFTEST)
    (team.folder / "shop" / "test_shop.py").write_text(TESTS)

    printed = team.python("-m", "pytest", *PYTEST, "--ds=team.settings", "shop", code=1)

    assert "1 failed, 5 passed" in printed
    assert "Error in break_down: no scales" in printed
    assert 'raise ValueError("no scales")' in printed  # where it failed
