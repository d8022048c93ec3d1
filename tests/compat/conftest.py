"""A fresh server in this process, on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ENGINES, fresh_settings
from tests.http.doors import InProcess, in_process
from userkeep.config import Settings


@pytest.fixture(params=ENGINES, ids=lambda name: name.replace(" ", "_"))
def doors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcess]:
    """All doors of a server with nothing in it."""
    with in_process(fresh_settings(request.param, tmp_path)) as doors:
        yield doors


@pytest.fixture(scope="package")
def shared() -> Iterator[InProcess]:
    """One server for all that is refused before it comes to an engine."""
    with in_process(Settings(database_url="sqlite:///:memory:")) as doors:
        yield doors
