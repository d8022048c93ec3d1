"""A server in this process and one on a socket, shared by tests that use ids of their own."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.doors import InProcess, OverSocket, in_process
from tests.serving import serving
from userkeep.config import Settings

DOOR_ENGINES = ("sqlite memory", "postgres")

_NAMES = count(1)


@pytest.fixture
def fresh() -> str:
    """A name that no other test here uses, and that a path carries as it is."""
    return f"fresh-{next(_NAMES)}"


@pytest.fixture(scope="package")
def doors() -> Iterator[InProcess]:
    """All doors of a server in this process; see `fresh`."""
    with in_process(Settings(database_url="sqlite:///:memory:")) as doors:
        yield doors


@pytest.fixture(
    scope="package",
    params=DOOR_ENGINES,
    ids=engine_id,
)
def doors_on_engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcess]:
    """The same on several engines, for what an engine could do in its own way; see `fresh`."""
    folder = tmp_path_factory.mktemp("doors")
    with in_process(fresh_settings(request.param, folder)) as doors:
        yield doors


@pytest.fixture(scope="package")
def socket_doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverSocket]:
    """All doors of `userkeep serve`; see `fresh`."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield OverSocket(server.port)
