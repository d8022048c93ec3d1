"""The ways in, on every engine."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import hypothesis  # noqa: F401 - its plugin looks at Trio: before an application freezes what is there
import pytest

from tests.logs import ear, logs_name_nobody  # noqa: F401 - fixtures for all tests
from tests.postgres import postgres_server
from tests.typed_ways import TYPED, embedded, embedded_async, sdk, sdk_async
from tests.ways import Way, in_process, over_socket
from userkeep.config import Settings

ENGINES = ("sqlite file", "sqlite memory", "postgres")
HERE = {"embedded": embedded, "embedded async": embedded_async, "in process": in_process}
ELSEWHERE = {"socket": over_socket, "sdk": sdk, "sdk async": sdk_async}

_NUMBERS = count(1)


def engine_id(engine: str) -> str:
    """An engine's name in a test's id."""
    return engine.replace(" ", "_")


def database_url(engine: str, folder: Path) -> str:
    """A fresh database of an engine."""
    if engine == "postgres":
        return postgres_server().new_database()
    return "sqlite:///:memory:" if engine == "sqlite memory" else f"sqlite:///{folder}/userkeep.db"


def fresh_settings(engine: str, folder: Path) -> Settings:
    """The settings of an instance on a fresh database, which keeps its secret in the folder."""
    return Settings(
        database_url=database_url(engine, folder), secret_file=str(folder / "userkeep.secret")
    )


def ways_on(engine: str) -> tuple[str, ...]:
    """The ways into an engine. The SDK's server keeps no database in memory: it would prove nothing
    that the socket does not."""
    if engine == "sqlite memory":
        return (*HERE, "socket")
    return (*HERE, *ELSEWHERE)


@pytest.fixture(
    scope="session",
    params=[(way, engine) for engine in ENGINES for way in ways_on(engine)],
    ids=lambda both: f"{both[0]}-{both[1]}".replace(" ", "_"),
)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """A way in, on an engine; shared by all tests, so each uses ids of its own (see `fresh`)."""
    name, engine = request.param
    folder = tmp_path_factory.mktemp("way")
    settings = fresh_settings(engine, folder)
    with ExitStack() as stack:
        if name in HERE:
            yield stack.enter_context(HERE[name](settings))
        else:
            yield stack.enter_context(ELSEWHERE[name](settings, folder))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what only a wire can carry where nothing travels but what typed methods take."""
    deselected = [item for item in items if is_wire_alone(item)]
    config.hook.pytest_deselected(items=deselected)
    left_out = set(deselected)
    items[:] = [item for item in items if item not in left_out]


def is_wire_alone(item: pytest.Item) -> bool:
    """Whether a test is marked `wire`, with a word on why, and its way in is by typed methods."""
    mark = item.get_closest_marker("wire")
    if mark is None:
        return False
    assert mark.args, f"{item.nodeid} does not say why it is about the wire alone"
    way_in: str = item.callspec.params["way"][0]  # type: ignore[attr-defined]
    return way_in in TYPED


@pytest.fixture(scope="session", autouse=True)
def postgres_log_names_nobody() -> Iterator[None]:
    """The log of the server that all tests share is looked at when they are over."""
    yield
    if postgres_server.cache_info().currsize:
        postgres_server().check_log()


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return f"{request.node.name}-{next(_NUMBERS)}"
