"""A server on each engine, which is attacked."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conftest import ENGINES, engine_id, fresh_settings
from tests.fuzz.population import populate
from tests.http.callers import STATIC
from tests.http.clients import InProcessClient, serve_in_process
from tests.long.counts import IS_FULL

# In memory, SQLite runs the same statements; its file is covered in full runs.
_SHORT = tuple(engine for engine in ENGINES if engine != "sqlite file")


@pytest.fixture(scope="module", params=ENGINES if IS_FULL else _SHORT, ids=engine_id)
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """A client of a separate server on each engine, with a key: random requests create keys too."""
    settings = fresh_settings(request.param, tmp_path_factory.mktemp("fuzz"))
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        client.headers = {"Authorization": f"Bearer {STATIC}"}
        yield client


@pytest.fixture
def populated(client: InProcessClient) -> InProcessClient:
    """The client of a server with user jane, session s and a message."""
    populate(client)
    return client
