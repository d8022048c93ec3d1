"""Engines on files of their own, closed at the end of each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.storage.disks import ShakyDisk
from tests.storage.notes import QUERIES, make
from userkeep.storage.sqlite import SqliteEngine, writer
from userkeep.storage.sqlite import connection as connections

OpenEngine = Callable[..., SqliteEngine]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be."""
    return tmp_path / "userkeep.db"


@pytest.fixture
def open_engine(path: Path) -> Iterator[OpenEngine]:
    """Opens engines with the tests' own queries, as `open_engine(queue_limit=2)`."""
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
    engine.write(make)
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
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """Connections wait for another program's lock not for 5 s, but for as long as this says."""
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_MS", 300)
    return 0.3


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the writer lane no time passes, so that a busy machine does not cut a group in two."""
    monkeypatch.setattr(writer, "perf_counter", lambda: 0.0)


@pytest.fixture
def disk() -> Iterator[ShakyDisk]:
    """The disk of every database opened in the test: it works until it is told to fail."""
    disk = ShakyDisk()
    yield disk
    disk.unregister()
