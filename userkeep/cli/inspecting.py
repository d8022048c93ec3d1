"""What `userkeep doctor` and `userkeep migrate` do."""

import platform
import shutil
from contextlib import closing
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from psycopg import Connection

from userkeep.cli.terminal import counted
from userkeep.cli.transfers import counting
from userkeep.config import SettingError, Settings, is_postgres, sqlite_path, variable_of
from userkeep.domain.errors import StorageError
from userkeep.http.access import is_loopback
from userkeep.instance import open_instance
from userkeep.jobs.index import compare_index, rebuild_index
from userkeep.storage.migrations import load_migrations, newer_database
from userkeep.storage.postgres.engine import (
    LONG_READ_POOL_SIZE,
    PIPELINED_READERS,
    PURGE_CONNECTIONS,
)
from userkeep.storage.postgres.migrations import applied_migrations as steps_of_postgres
from userkeep.storage.postgres.migrations import check_is_empty
from userkeep.storage.postgres.server import describe_url, open_for_inspection, server_version
from userkeep.storage.sqlite.connection import MEMORY, open_read_only
from userkeep.storage.sqlite.file_lock import read_lock_holder
from userkeep.storage.sqlite.migrations import applied_migrations
from userkeep.version import __version__

_SCARCE_BYTES = 1024 * 1024 * 1024
_PORT_SOURCE = "SELECT value FROM instance WHERE name = 'port_source'"


class Finding(NamedTuple):
    """One thing that was looked at."""

    subject: str
    is_well: bool
    finding: str
    advice: str = ""


def migrate_database(settings: Settings) -> tuple[list[str], int]:
    """Apply the missing steps; gives their names, and the number the schema is at.

    Raises:
        StorageError, SettingError: as for opening an instance.
    """
    known = load_migrations("postgres" if is_postgres(settings.database_url) else "sqlite")
    before = _steps_taken(settings.database_url)
    with counting("Making the index of words") as tell:
        open_instance(settings, progress=tell).close()
    applied = [f"{step.number:04d} {step.name}" for step in known if step.number not in before]
    return applied, known[-1].number


def _steps_taken(database_url: str) -> dict[int, str]:
    if is_postgres(database_url):
        with open_for_inspection(database_url) as connection:
            return steps_of_postgres(connection)
    path = sqlite_path(database_url)
    return {} if path == MEMORY else _applied(path)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything, change nothing; each finding says what is wrong and what to do."""
    findings = [_versions(), _settings(settings), _door(settings)]
    if is_postgres(settings.database_url):
        return [*findings, *_postgres(settings)]
    try:
        path = sqlite_path(settings.database_url)
    except SettingError as error:
        return [*findings, Finding("database", False, str(error))]
    if path == MEMORY:
        return [*findings, Finding("database", True, "in memory: gone when the server stops")]
    return [*findings, _database(path), _owner(path), _space(path)]


def examine_index(settings: Settings) -> Finding:
    """Compare the index of words with every message, and make it anew where it does not fit.

    It is made anew as well where it was made for another language than the settings have.

    Raises:
        StorageError, SettingError: as for opening an instance.
    """
    with counting("Making the index") as tell:
        opened = open_instance(settings, keeps_language=False, progress=tell)
    rules = opened.scope.rules
    with closing(opened):
        with counting("Comparing the index") as tell:
            report = compare_index(opened.engine, rules, tell)
        if report.is_correct:
            return Finding("index", True, f"fits {counted(report.messages, 'message')}")
        with counting("Making the index anew") as tell:
            rebuild_index(opened.engine, rules, tell)
    entries = report.found.count - report.expected.count
    wrong = f"{counted(len(report.faults), 'session')}, {entries:+,} entries"
    return Finding("index", True, f"did not fit ({wrong}) and was made anew")


def _versions() -> Finding:
    packages = ("apsw", "psycopg", "uvicorn", "starlette", "msgspec")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    python = platform.python_version()
    sqlite = apsw.sqlite_lib_version()
    return Finding(
        "versions", True, f"Userkeep {__version__}, Python {python}, SQLite {sqlite}, {versions}"
    )


def _settings(settings: Settings) -> Finding:
    changed = [
        variable_of(each.name)
        for each in fields(Settings)
        if getattr(settings, each.name) != each.default
    ]
    return Finding("settings", True, f"set: {', '.join(changed)}" if changed else "all default")


def _door(settings: Settings) -> Finding:
    if is_loopback(settings.host):
        return Finding("door", True, f"{settings.host}: this machine alone")
    if settings.insecure_no_auth:
        return Finding(
            "door",
            False,
            f"{settings.host}: everybody who can reach it may read and write everything",
            "See that something in front of it asks who is there.",
        )
    return Finding(
        "door",
        False,
        f"{settings.host}: others could reach it, so serve refuses to start",
        "Listen on 127.0.0.1, or say --insecure-no-auth.",
    )


def _database(path: str) -> Finding:
    if not Path(path).exists():
        return Finding("database", True, f"{path} is not there yet; serve makes it")
    try:
        with open_read_only(path) as connection:
            applied = applied_migrations(connection)
            port_source = list(connection.execute(_PORT_SOURCE)) if applied else []
    except StorageError as error:
        return Finding("database", False, error.detail)
    size_bytes = Path(path).stat().st_size
    return _schema("sqlite", path, size_bytes, applied, is_whole=not port_source)


def _schema(
    dialect: str, place: str, size_bytes: int, applied: dict[int, str], *, is_whole: bool
) -> Finding:
    known = [step.number for step in load_migrations(dialect)]
    if set(applied) - set(known):
        return Finding("database", False, newer_database(place, max(applied), known[-1]))
    if not is_whole:
        return Finding(
            "database",
            False,
            f"{place} is the target of a port that has not finished",
            "Run the same userkeep port again; it goes on from there.",
        )
    size_mib = size_bytes / (1024 * 1024)
    missing = len(set(known) - set(applied))
    finding = f"{place}, {size_mib:.1f} MiB, schema at step {max(applied, default=0)}"
    advice = "serve or migrate brings it up to date." if missing else ""
    return Finding("database", True, finding, advice)


def _postgres(settings: Settings) -> list[Finding]:
    place = describe_url(settings.database_url)
    try:
        with open_for_inspection(settings.database_url) as connection:
            applied = steps_of_postgres(connection)
            if not applied:
                check_is_empty(connection, settings.database_url)
            version = server_version(connection)
            port_source = connection.execute(_PORT_SOURCE).fetchall() if applied else []
            [(size_bytes,)] = connection.execute("SELECT pg_database_size(current_database())")
            return [
                Finding("server", True, f"PostgreSQL {version}"),
                _schema("postgres", place, size_bytes, applied, is_whole=not port_source),
                _room_for_connections(connection, settings),
                _durability(connection),
            ]
    except StorageError as error:
        return [Finding("database", False, error.detail)]


def _room_for_connections(connection: Connection[Any], settings: Settings) -> Finding:
    needed = (
        settings.postgres_pool_size + LONG_READ_POOL_SIZE + PIPELINED_READERS + PURGE_CONNECTIONS
    )
    [(most, used)] = connection.execute(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    )
    finding = f"{used} of {most} in use; a server needs {needed}"
    if most - used < needed:
        return Finding(
            "connections", False, finding, "Raise max_connections, or lower --postgres-pool-size."
        )
    return Finding("connections", True, finding)


def _durability(connection: Connection[Any]) -> Finding:
    [(fsync, full_page_writes)] = connection.execute(
        "SELECT current_setting('fsync'), current_setting('full_page_writes')"
    )
    if "off" in {fsync, full_page_writes}:
        return Finding(
            "durability",
            False,
            f"fsync is {fsync}, full_page_writes is {full_page_writes}",
            "Set both to on: without them a power cut may lose or damage what was acknowledged.",
        )
    return Finding("durability", True, "fsync and full_page_writes are on")


def _applied(path: str) -> dict[int, str]:
    """The schema steps of a file, without changing it: none where it is not there.

    Raises:
        StorageError: the file cannot be read as a database.
    """
    if not Path(path).exists():
        return {}
    with open_read_only(path) as connection:
        return applied_migrations(connection)


def _owner(path: str) -> Finding:
    owner = read_lock_holder(path)
    if owner is None:
        return Finding("owner", True, "no process has the file open")
    where = f", serving at {owner.url}" if owner.url else ""
    return Finding("owner", True, f"process {owner.pid}{where}")


def _space(path: str) -> Finding:
    folder = next(each for each in Path(path).resolve().parents if each.exists())
    free = shutil.disk_usage(folder).free
    size = Path(path).stat().st_size if Path(path).exists() else 0
    finding = f"{free / 1024**3:.1f} GiB free on the disk of {folder}"
    if free < max(_SCARCE_BYTES, 2 * size):
        return Finding(
            "space",
            False,
            finding,
            "Make room: the database needs its own size again for upkeep, and 1 GiB at least.",
        )
    return Finding("space", True, finding)
