"""Clients of a server in this process: a fresh one on every engine, and a shared one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ENGINES, fresh_settings
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.config import Settings


@pytest.fixture(params=ENGINES, ids=lambda name: name.replace(" ", "_"))
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessClient]:
    """A client of an empty server."""
    with serve_in_process(fresh_settings(request.param, tmp_path)) as client:
        yield client


@pytest.fixture(scope="package")
def shared() -> Iterator[InProcessClient]:
    """A client of one server for requests that are rejected before they reach an engine."""
    with serve_in_process(Settings(database_url="sqlite:///:memory:")) as client:
        yield client
