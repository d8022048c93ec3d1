"""Schema migrations: small numbered files, a folder for each dialect, applied once, in order."""

import logging
import re
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from userkeep.domain.errors import StorageError

logger = logging.getLogger(__name__)


# Comments, texts and the bodies of DO can contain semicolons.
_STATEMENT = re.compile(r"(?:--[^\n]*|'[^']*'|\$\$.*?\$\$|[^;'$-]|-(?!-))+", re.DOTALL)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class Migration(NamedTuple):
    """One migration: `0002_summaries.sql` is number 2, named `summaries`."""

    number: int
    name: str
    sql: str

    @property
    def statements(self) -> list[str]:
        """The statements of the migration, in order, without comments before them."""
        found = (_COMMENT.sub("", each).strip() for each in _STATEMENT.findall(f"{self.sql}\n"))
        return [each for each in found if each]


def load_migrations(dialect: str) -> list[Migration]:
    """Return all migrations of a dialect, in order."""
    folder = resources.files(__name__) / dialect
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(
        Migration(int(file.name[:4]), file.name[5:].removesuffix(".sql"), file.read_text("utf-8"))
        for file in files
    )


def log_applied(migration: Migration, *, is_new: bool) -> None:
    """Log that a migration was applied. For a new database this is nothing to report.

    Args:
        is_new: whether the database had no migration before.
    """
    fields = {"number": migration.number, "name": migration.name}
    level = logging.DEBUG if is_new else logging.INFO
    logger.log(level, "applied a migration", extra={"fields": fields})


def check_history(database: str, applied: Mapping[int, str], known: list[Migration]) -> None:
    """Check that a database was created by this program's migrations.

    Args:
        database: its name in the error message.
        applied: the migrations that were applied to it, number to name.
        known: the migrations of this program.

    Raises:
        StorageError: it is from a pre-release version, or from a newer one.
    """
    names = {migration.number: migration.name for migration in known}
    if any(names.get(number, name) != name for number, name in applied.items()):
        raise StorageError(
            f"{database} has the schema of a pre-release version, which this version cannot "
            "migrate. Use a new database; nothing was changed."
        )
    newer = sorted(set(applied) - set(names))
    if newer:
        raise StorageError(newer_database(database, newer[-1], known[-1].number))


def check_is_current(
    dialect: str, database: str, applied: Mapping[int, str], *, migrate_command: str
) -> None:
    """Check that a database that is only read has the schema of this program.

    Args:
        database: its name in the error message.
        applied: the migrations that were applied to it, number to name.
        migrate_command: the command that would migrate it.

    Raises:
        StorageError: it has another schema; the message explains what to do.
    """
    if not applied:
        raise StorageError(
            f"{database} is not a Userkeep database. If it is empty, `{migrate_command}` creates "
            "the tables."
        )
    known = load_migrations(dialect)
    check_history(database, applied, known)
    if len(applied) < len(known):
        raise StorageError(
            f"The schema of {database} is at version {max(applied)}; this program needs version "
            f"{known[-1].number}. Run `{migrate_command}` first."
        )


def newer_database(database: str, found: int, known: int) -> str:
    """Return the error message for a database from a newer version."""
    return (
        f"{database} was made by a newer Userkeep (schema version {found}; this program supports "
        f"up to {known}). Install the newer Userkeep, or restore a backup from before the upgrade; "
        "nothing was changed."
    )
