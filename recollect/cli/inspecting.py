"""What `recollect doctor` and `recollect migrate` do."""

import platform
import shutil
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import apsw

from recollect import __version__
from recollect.config import SettingError, Settings, sqlite_path, variable_of
from recollect.domain.errors import StorageError
from recollect.http.guard import is_loopback
from recollect.main import open_recollect
from recollect.storage.migrations import load_migrations, newer_database
from recollect.storage.sqlite.connection import MEMORY, looking_at
from recollect.storage.sqlite.migrations import applied_migrations
from recollect.storage.sqlite.owner import read_owner

_SCARCE_BYTES = 1024 * 1024 * 1024


class Finding(NamedTuple):
    """One thing that was looked at."""

    subject: str
    is_well: bool
    finding: str
    advice: str = ""


def migrate_database(settings: Settings) -> tuple[list[str], int]:
    """Apply the missing steps; gives their names, and the number the schema is at.

    Raises:
        StorageError, SettingError: as for opening an installation.
    """
    known = load_migrations("sqlite")
    path = sqlite_path(settings.database_url)
    before = {} if path == MEMORY else _applied(path)
    open_recollect(settings).close()
    applied = [f"{step.number:04d} {step.name}" for step in known if step.number not in before]
    return applied, known[-1].number


def examine(settings: Settings) -> list[Finding]:
    """Look at everything, change nothing; each finding says what is wrong and what to do."""
    findings = [_versions(), _settings(settings), _door(settings)]
    try:
        path = sqlite_path(settings.database_url)
    except SettingError as error:
        return [*findings, Finding("database", False, str(error))]
    if path == MEMORY:
        return [*findings, Finding("database", True, "in memory: gone when the server stops")]
    return [*findings, _database(path), _owner(path), _space(path)]


def _versions() -> Finding:
    packages = ("apsw", "uvicorn", "starlette", "msgspec")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    python = platform.python_version()
    sqlite = apsw.sqlite_lib_version()
    return Finding(
        "versions", True, f"Recollect {__version__}, Python {python}, SQLite {sqlite}, {versions}"
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
        applied = _applied(path)
    except StorageError as error:
        return Finding("database", False, error.detail)
    known = [step.number for step in load_migrations("sqlite")]
    if set(applied) - set(known):
        return Finding("database", False, newer_database(path, max(applied), known[-1]))
    size_mib = Path(path).stat().st_size / (1024 * 1024)
    missing = len(set(known) - set(applied))
    finding = f"{path}, {size_mib:.1f} MiB, schema at step {max(applied, default=0)}"
    advice = "serve or migrate brings it up to date." if missing else ""
    return Finding("database", True, finding, advice)


def _applied(path: str) -> dict[int, str]:
    """The schema steps of a file, without changing it: none where it is not there.

    Raises:
        StorageError: the file cannot be read as a database.
    """
    if not Path(path).exists():
        return {}
    with looking_at(path) as connection:
        return applied_migrations(connection)


def _owner(path: str) -> Finding:
    owner = read_owner(path)
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
