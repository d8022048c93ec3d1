"""SQLite: a database is a file, made once, then kept and copied.

A kept file's name has its size and a hash of what it was made of, so that a change makes a new one;
files of older recipes are removed.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Self

import apsw

import userkeep
from bench.baseline.sqlite import SqliteReplay
from bench.databases.seeding import Seeding, messages_of, record_seeding
from bench.harness.requests import Size
from bench.harness.servers import SECRET
from devtools.versions import sqlite_version
from userkeep import Userkeep
from userkeep.config import sqlite_path
from userkeep.storage.migrations import load_migrations

FOLDER = Path(tempfile.gettempdir()) / "userkeep-bench"

_BYTES_OF_USER = 500
_BYTES_OF_MESSAGE = 1_300
_SPARE_BYTES = 2 << 30
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system has

Fill = Callable[[str], None]
"""Fills an empty database, of which it is given the URL."""


class SqliteDatabases:
    """Databases in files of a folder, which the caller removes."""

    name = "SQLite"
    dialect = "sqlite"
    notes = ()
    has_processes = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def facts(self) -> Mapping[str, str]:
        """Return the versions, and the settings that matter."""
        return {"SQLite": sqlite_version()}

    def scratch(self) -> str:
        """Return an empty database to record operations on."""
        return "sqlite:///:memory:"

    def empty(self, name: str) -> str:
        """Return an empty database: a file that does not exist yet."""
        return _url(self._folder / f"{name}.db")

    def seeded(self, size: Size, name: str) -> str:
        """Return a new database of this size."""
        return self.copied(self.large(size), name)

    def large(self, size: Size) -> str:
        """Return a database of this size that is only read, from memory if there is room for it."""
        expected = size.users * _BYTES_OF_USER + messages_of(size) * _BYTES_OF_MESSAGE

        def fill(url: str) -> None:
            Userkeep.open(url, secret=SECRET).close()
            replay = SqliteReplay(url, is_durable=False)
            self._seeding.run(replay, size)
            replay.close()

        recipe = self._seeding.fingerprint + "".join(each.sql for each in load_migrations("sqlite"))
        return self._kept("seed", recipe, f"{size.users}-{size.sessions}", expected, fill)

    def filled(self, name: str, messages: int, fill: Fill) -> str:
        """Return a database that is filled through the product, as is read from memory."""
        folder = Path(userkeep.__file__).parent
        files = (each for part in _MAKES_ROWS for each in (folder / part).rglob("*.*"))
        recipe = b"".join(each.read_bytes() for each in sorted(files) if each.suffix != ".pyc")
        return self._kept("corpus", repr(recipe), name, messages * _BYTES_OF_MESSAGE, fill)

    def copied(self, url: str, name: str) -> str:
        """Return a copy, which may be written to, of a database that is not open."""
        path, copy = Path(sqlite_path(url)), self._folder / f"{name}.db"
        check_space(path.stat().st_size)
        shutil.copyfile(path, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        return _url(copy)

    def discard(self, url: str) -> None:
        """Remove a database that is not open, with what a server that was killed left of it."""
        for suffix in ("", "-wal", "-shm"):
            Path(sqlite_path(url) + suffix).unlink(missing_ok=True)

    def bytes_of(self, url: str) -> int:
        """Return how large a database is; it may be open."""
        return Path(sqlite_path(url)).stat().st_size

    def parts_of(self, url: str) -> Mapping[str, int]:
        """Return the bytes of each table and index of a database that is not open."""
        with closing(apsw.Connection(sqlite_path(url))) as connection:
            return dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))

    def used_bytes(self, url: str) -> int:
        """Return what a database that this process has open uses of its disk, with its log.

        Temporary files have no name in a folder, but this process has them open.
        """
        used = {}
        for each in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):
                if each.readlink().is_relative_to(Path(sqlite_path(url)).parent):
                    status = each.stat()
                    used[status.st_ino] = status.st_blocks * _BLOCK_BYTES
        return sum(used.values())

    def connections_of(self, _url: str) -> int:
        """Return how many connections to a database are open: there is no server."""
        return 0

    def replay(self, url: str) -> SqliteReplay:
        """Return the bare driver on a database."""
        return SqliteReplay(url)

    def cpu_s(self) -> float:
        """Return the processor seconds of the database's own processes: there are none."""
        return 0.0

    @cached_property
    def _seeding(self) -> Seeding:
        return record_seeding()

    def _kept(self, kind: str, recipe: str, name: str, expected: int, fill: Fill) -> str:
        """Return a kept database, which is made if there is none, read through once."""
        prefix = f"{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}-"
        for other in FOLDER.glob(f"{kind}-*"):
            if not other.name.startswith(prefix):
                other.unlink()
        path = FOLDER / f"{prefix}{name}.db"
        if not path.exists():
            check_space(expected)
            print(f"making {path.name} …", flush=True)
            began = perf_counter()
            with tempfile.TemporaryDirectory(dir=FOLDER, prefix="making-") as folder:
                unfinished = Path(folder) / path.name
                fill(_url(unfinished))
                unfinished.rename(path)
            print(
                f"  {perf_counter() - began:.0f} s, {path.stat().st_size >> 20:,} MiB", flush=True
            )
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass
        return _url(path)


_MAKES_ROWS = ("domain", "services", "storage")


def check_space(needed: int) -> None:
    """Check that the disk has room.

    Raises:
        SystemExit: it has not.
    """
    free = shutil.disk_usage(FOLDER).free
    if free < needed + _SPARE_BYTES:
        raise SystemExit(
            f"{FOLDER} has {free >> 20:,} MiB free, but {(needed + _SPARE_BYTES) >> 20:,} are "
            "needed. Name another folder in TMPDIR, or fewer --users."
        )


def _url(path: Path) -> str:
    return f"sqlite:///{path}"
