"""Engines on new databases, closed at the end of each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.postgres import OwnPostgresServer, migrated_database
from tests.storage.postgres.notes import QUERIES, create_table
from tests.storage.postgres.proxy import Proxy
from userkeep.storage.postgres import PostgresEngine

OpenEngine = Callable[..., PostgresEngine]


@pytest.fixture
def url() -> str:
    """A fresh database, which has the schema already, to save time."""
    return migrated_database()


@pytest.fixture
def open_engine(url: str) -> Iterator[OpenEngine]:
    """Opens engines with the queries of these tests: `open_engine(queue_limit=2)`."""
    with ExitStack() as stack:

        def open_(at: str = url, **settings: Any) -> PostgresEngine:
            engine = PostgresEngine(at, QUERIES, **settings)
            stack.callback(engine.close)
            return engine

        yield open_


@pytest.fixture
def engine(open_engine: OpenEngine) -> PostgresEngine:
    """An engine with an empty table of notes."""
    engine = open_engine()
    engine.write(create_table)
    return engine


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnPostgresServer]:
    """A server on a TCP port. A test may stop it, if it starts it again."""
    with OwnPostgresServer(tcp=True) as server:
        yield server


@pytest.fixture
def proxy(own_server: OwnPostgresServer) -> Iterator[Proxy]:
    """A proxy before `own_server`; `proxy.url` is the URL of a new database behind it."""
    with Proxy(migrated_database(own_server)) as proxy:
        yield proxy
