"""Clients of a server in this process and of one on a socket, shared by tests with unique ids."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.callers import STATIC, Caller
from tests.http.clients import InProcessClient, SocketClient, serve_in_process
from tests.serving import serving
from userkeep.config import Settings

HTTP_ENGINES = ("sqlite memory", "postgres")

_NAMES = count(1)


@pytest.fixture
def fresh() -> str:
    """A unique name that needs no encoding in a path."""
    return f"fresh-{next(_NAMES)}"


@pytest.fixture(scope="package")
def client() -> Iterator[InProcessClient]:
    """A client of a server in this process; see `fresh`."""
    with serve_in_process(Settings(database_url="sqlite:///:memory:")) as client:
        yield client


@pytest.fixture(
    scope="package",
    params=HTTP_ENGINES,
    ids=engine_id,
)
def client_on_engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """A client of a server on each engine, for what may differ between engines; see `fresh`."""
    folder = tmp_path_factory.mktemp("http")
    with serve_in_process(fresh_settings(request.param, folder)) as client:
        yield client


@pytest.fixture(scope="package")
def socket_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocketClient]:
    """A client of `userkeep serve`; see `fresh`."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield SocketClient(server.port)


@pytest.fixture(params=HTTP_ENGINES, ids=engine_id)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of a fresh instance."""
    return fresh_settings(request.param, tmp_path)


@pytest.fixture
def admin(settings: Settings) -> Iterator[Caller]:
    """Sends requests with the key that the server has in its settings."""
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        yield Caller(client, STATIC)
