"""One web process, besieged: honest clients are answered, and whoever takes too long is cut off."""

from collections.abc import Iterator

import pytest

from tests.ops.sieges import ATTACKS, Siege
from tests.ops.web_process import WebProcess

DEADLINE = 6.0  # seconds; what the server is told
PROMPT = DEADLINE  # seconds for an honest client: it waits for no other that is cut off


@pytest.fixture(scope="module")
def running(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebProcess]:
    timeouts = {"WEB_HEADER_TIMEOUT": f"{DEADLINE}", "WEB_BODY_TIMEOUT": f"{DEADLINE}"}
    with WebProcess(tmp_path_factory.mktemp("web"), **timeouts) as running:
        yield running


@pytest.fixture
def web(running: WebProcess, token: str) -> WebProcess:
    """It, as a user calls it."""
    running.token = token
    assert running.get("/workflows/", timeout=30) == 200  # the first has all imported
    return running


@pytest.fixture(scope="module")
def sieges(running: WebProcess) -> Iterator[dict[str, Siege]]:
    """Those that have begun; they go on until the last test has ended."""
    begun: dict[str, Siege] = {}
    yield begun
    for siege in begun.values():
        siege.end()


@pytest.fixture
def siege(request: pytest.FixtureRequest, web: WebProcess, sieges: dict[str, Siege]) -> Siege:
    name = request.param
    if name not in sieges:
        sieges[name] = ATTACKS[name]()
        sieges[name].begin(web.port, web.token)
    return sieges[name]


all_attacks = pytest.mark.parametrize("siege", ATTACKS, indirect=True)


@all_attacks
def test_honest_clients_are_answered_while(siege: Siege, web: WebProcess) -> None:
    for path in ("/healthz", "/workflows/"):
        assert web.get(path, timeout=PROMPT) == 200


@all_attacks
def test_all_are_cut_off_where(siege: Siege, web: WebProcess) -> None:
    assert siege.closed(within=DEADLINE + 8)
