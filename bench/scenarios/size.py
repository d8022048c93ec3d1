"""How much disk and memory an instance needs, and how many connections to PostgreSQL.

A database is filled in this process, one kind of rows after the other. After each kind it is
purged, which rewrites its files without free space, and measured: what it has grown by, divided by
the number of rows, is what such a row needs, with its indexes. Bytes do not depend on what else the
machine does.
"""

import argparse
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import NamedTuple

from bench.databases import Databases
from bench.harness import requests
from bench.harness.corpus import text_of
from bench.harness.load import drive
from bench.harness.report import Report, show
from bench.harness.requests import SESSIONS_OF_USER, Size
from bench.harness.servers import SECRET, Server, ServerHarness
from bench.scenarios.rows import NATIVE
from devtools.markdown import Cells, Table, columns
from userkeep import NewMessage, Userkeep
from userkeep.config import Settings
from userkeep.instance import open_instance
from userkeep.jobs.purge import Purge

_SIZE = Size(users=20_000, sessions=40_000)
_LENGTHS = (50, 300, 1_000)
_SESSIONS_OF_LENGTH = 1_000
_MESSAGES_OF_SESSION = 30
_ERASURES = 5_000
_KEYS = 1_000
_THREADS = 8
_SAMPLE_S = 0.005
_IDLE_S = 2.0
_MIB = 1 << 20

_OF_ROWS = columns("rows, bytes of each as written, bytes of each, its words in the index")
_ABOUT_ROWS = (
    "What the database has grown by, for each row. `as written` is before the files were rewritten "
    "(on PostgreSQL with former versions of rows, which autovacuum frees for new ones), the next "
    "column is after that. A user has an id, an email address, two names and three fields of "
    "metadata, a session an id and one field, and a message a uuid as its id, and one field. An "
    "erasure has a tombstone, which is deleted after 24 hours."
)
_OF_PURGE = columns("database MiB, at most in use MiB, of the database")
_ABOUT_PURGE = (
    "What the database and its write-ahead log had on the disk at most, while the database was "
    "purged after the last messages were written."
)
_OF_MEMORY = columns("resident MiB, without files MiB, connections to PostgreSQL")
_ABOUT_MEMORY = (
    f"A server of this database, {_IDLE_S:g} s after its start, and under the load of each row "
    "with 32 clients: at most, and at its end. What is a file, of the database or of the program, "
    "is freed when the system needs memory."
)


class Step(NamedTuple):
    """Rows of one kind: how many are added, and how."""

    name: str
    rows: int
    fill: Callable[[Userkeep], None]


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    database = Database(databases, databases.empty("size"), folder)
    rows = [show(database.measure(step)) for step in _steps()]
    purge = show(database.purge_row())
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    with harness, harness.serving(database.url) as server:
        memory = [show(cells) for cells in _memory(database, server, given.seconds)]
    database.settle()
    rows.append(show(database.measure(_KEYS_STEP)))  # a server asks for a key from now on
    tables = [
        Table("Rows", _ABOUT_ROWS, _OF_ROWS, rows),
        Table("A purge", _ABOUT_PURGE, _OF_PURGE, [purge]),
        Table("Memory and connections", _ABOUT_MEMORY, _OF_MEMORY, memory),
    ]
    return Report(tables, [harness.note, *databases.notes])


class Database:
    """A database that is filled step by step.

    Attributes:
        url: where it is.
    """

    def __init__(self, databases: Databases, url: str, folder: Path) -> None:
        self.url = url
        self._databases = databases
        self._settings = Settings(
            database_url=url, secret=SECRET, ledger_file=str(folder / "size.ledger")
        )
        open_instance(self._settings).close()
        self._greatest = self._databases.bytes_of(url)
        self._parts = self._compact()

    def measure(self, step: Step) -> Cells:
        """Add the rows of a step, and return its row."""
        with Userkeep.open(
            self.url, secret=SECRET, ledger_file=self._settings.ledger_file
        ) as client:
            step.fill(client)
        written = self._databases.parts_of(self.url)
        before, self._parts = self._parts, self._compact()
        grown = _total(self._parts) - _total(before)
        words = _words(self._parts) - _words(before)
        figures = (_total(written) - _total(before), grown, words)
        return (step.name, f"{step.rows:,}", *(f"{each / step.rows:,.0f}" for each in figures))

    def purge_row(self) -> Cells:
        """Return the row of the last purge."""
        size = self._databases.bytes_of(self.url)
        ratio = f"{self._greatest / size:.1f}"
        return ("the whole database", _mib(size), _mib(self._greatest), ratio)

    def settle(self) -> None:
        """Leave what others have written out of the next measurement."""
        self._parts = self._compact()

    def connections(self) -> str:
        """Return how many connections a server has to it."""
        number = self._databases.connections_of(self.url)
        return str(number) if number else "none"

    def _compact(self) -> Mapping[str, int]:
        """Purge it, and return the bytes of its tables and indexes."""
        with closing(open_instance(self._settings)) as instance:
            done = threading.Event()
            with ThreadPoolExecutor(1) as pool:
                watched = pool.submit(self._watch, done)
                try:
                    Purge(instance.engine).run()
                finally:
                    done.set()
                self._greatest = watched.result()
        return self._databases.parts_of(self.url)

    def _watch(self, done: threading.Event) -> int:
        """Return what it uses of the disk at most until something is done."""
        greatest = 0
        while not done.wait(_SAMPLE_S):
            greatest = max(greatest, self._databases.used_bytes(self.url))
        return greatest


def _memory(database: Database, server: Server, seconds: float) -> Iterator[Cells]:
    sleep(_IDLE_S)
    idle = (server.memory_bytes(), server.own_memory_bytes())
    yield ("idle", *map(_mib, idle), database.connections())
    size = Size(users=_SIZE.users, sessions=_SIZE.sessions)
    for row in NATIVE:
        server.reset_peak_memory()
        drive(server.port, row.requests(size), row.status, seconds)
        used = (server.peak_memory_bytes(), server.own_memory_bytes())
        yield (row.name, *map(_mib, used), database.connections())


def _steps() -> Iterator[Step]:
    users, sessions = range(1, _SIZE.users + 1), range(1, _SIZE.sessions + 1)
    yield Step("users", len(users), lambda client: _each(users, _adding_user(client)))
    yield Step("sessions", len(sessions), lambda client: _each(sessions, _adding_session(client)))
    for place, characters in enumerate(_LENGTHS):
        first = 1 + place * _SESSIONS_OF_LENGTH
        yield _messages(range(first, first + _SESSIONS_OF_LENGTH), characters)
    yield Step("erasures of users", _ERASURES, _add_and_delete)


def _messages(sessions: range, characters: int) -> Step:
    rows = len(sessions) * _MESSAGES_OF_SESSION

    def fill(client: Userkeep) -> None:
        def append(session: int) -> None:
            numbers = range(session * _MESSAGES_OF_SESSION, (session + 1) * _MESSAGES_OF_SESSION)
            messages = [
                NewMessage(
                    role="user", content=text_of(number, characters), metadata={"lang": "en"}
                )
                for number in numbers
            ]
            client.message.add(f"session-{session:08d}", messages)

        _each(sessions, append)

    return Step(f"messages of {characters:,} characters", rows, fill)


def _adding_user(client: Userkeep) -> Callable[[int], None]:
    def add(number: int) -> None:
        client.user.add(**requests.user(f"user-{number:08d}"))

    return add


def _adding_session(client: Userkeep) -> Callable[[int], None]:
    def add(number: int) -> None:
        owner = f"user-{1 + (number - 1) // SESSIONS_OF_USER:08d}"
        session_id = f"session-{number:08d}"
        client.session.add(session_id=session_id, user_id=owner, metadata={"topic": "shoes"})

    return add


def _add_and_delete(client: Userkeep) -> None:
    numbers = range(_SIZE.users + 1, _SIZE.users + _ERASURES + 1)
    _each(numbers, _adding_user(client))
    _each(numbers, lambda number: client.user.delete(f"user-{number:08d}"))


def _create_keys(client: Userkeep) -> None:
    client.key.add(scope="admin")  # the first
    _each(range(_KEYS - 1), lambda number: client.key.add(name=f"key {number}"))


_KEYS_STEP = Step("API keys", _KEYS, _create_keys)


def _each(numbers: range, add: Callable[[int], object]) -> None:
    """Call for each number in several threads, so that writes share commits."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(add, numbers):
            pass


def _total(parts: Mapping[str, int]) -> int:
    return sum(parts.values())


def _words(parts: Mapping[str, int]) -> int:
    """Return the bytes of the full-text index."""
    return sum(size for name, size in parts.items() if name.startswith(_WORD_INDEXES))


_WORD_INDEXES = ("message_words", "messages_words")


def _mib(size: float) -> str:
    return f"{size / _MIB:,.0f}"
