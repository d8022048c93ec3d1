"""Engines on new files, closed at the end of each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.storage.faulty_disk import FaultyDisk
from tests.storage.notes import QUERIES, create_table
from userkeep.storage.sqlite import SqliteEngine, checkpointer, read_only, writer
from userkeep.storage.sqlite import connection as connections

OpenEngine = Callable[..., SqliteEngine]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet."""
    return tmp_path / "userkeep.db"


@pytest.fixture
def open_engine(path: Path) -> Iterator[OpenEngine]:
    """Opens engines with the queries of these tests: `open_engine(queue_limit=2)`."""
    with ExitStack() as stack:

        def open_(at: Path | str = path, **settings: Any) -> SqliteEngine:
            engine = SqliteEngine(str(at), QUERIES, **settings)
            stack.callback(engine.close)
            return engine

        yield open_


@pytest.fixture
def engine(open_engine: OpenEngine) -> SqliteEngine:
    """An engine with an empty table of notes."""
    engine = open_engine()
    engine.write(create_table)
    return engine


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Every connection opened in the test has an SQL function that interrupts it."""

    def hook(connection: apsw.Connection) -> None:
        connection.create_scalar_function("interrupt", lambda *_: connection.interrupt(), 0)

    apsw.connection_hooks.append(hook)
    yield
    apsw.connection_hooks.remove(hook)


@pytest.fixture
def short_busy_timeout(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long connections wait for another program's lock, in seconds, instead of 5 s."""
    for module in (connections, checkpointer, read_only):
        monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 300)
    return 0.3


@pytest.fixture
def unlimited_group_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for the writer, so that a busy machine does not split a group."""
    monkeypatch.setattr(writer, "perf_counter", lambda: 0.0)


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    """The disk of every database opened in the test; it works until a failure is set."""
    disk = FaultyDisk()
    yield disk
    disk.unregister()
