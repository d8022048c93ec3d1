"""The ways in, on every engine."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from recollect.config import Settings
from tests.postgres import postgres_server
from tests.ways import Way, by_services, in_process, over_socket

WAYS = ("services", "in process", "socket")
ENGINES = ("sqlite file", "sqlite memory", "postgres")

_NUMBERS = count(1)


def database_url(engine: str, folder: Path) -> str:
    """A fresh database of an engine."""
    if engine == "postgres":
        return postgres_server().new_database()
    return "sqlite:///:memory:" if engine == "sqlite memory" else f"sqlite:///{folder}/recollect.db"


def fresh_settings(engine: str, folder: Path) -> Settings:
    """The settings of an installation on a fresh database, which keeps its secret in the folder."""
    return Settings(
        database_url=database_url(engine, folder), secret_file=str(folder / "recollect.secret")
    )


@pytest.fixture(
    scope="session",
    params=[(way, engine) for engine in ENGINES for way in WAYS],
    ids=lambda both: f"{both[0]}-{both[1]}".replace(" ", "_"),
)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """A way in, on an engine; shared by all tests, so each uses ids of its own (see `fresh`)."""
    name, engine = request.param
    folder = tmp_path_factory.mktemp("way")
    settings = fresh_settings(engine, folder)
    with ExitStack() as stack:
        if name == "services":
            yield stack.enter_context(by_services(settings))
        elif name == "in process":
            yield stack.enter_context(in_process(settings))
        else:
            yield stack.enter_context(over_socket(settings, folder))


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return f"{request.node.name}-{next(_NUMBERS)}"
