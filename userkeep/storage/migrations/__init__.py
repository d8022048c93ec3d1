"""Schema changes: small numbered files, one folder for each engine, applied once and in order."""

from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from userkeep.domain.errors import StorageError


class Migration(NamedTuple):
    """One step: `0002_summaries.sql` is number 2, named `summaries`."""

    number: int
    name: str
    sql: str


def load_migrations(dialect: str) -> list[Migration]:
    """All steps of one dialect, in order."""
    folder = resources.files(__name__) / dialect
    steps = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(
        Migration(int(file.name[:4]), file.name[5:].removesuffix(".sql"), file.read_text("utf-8"))
        for file in steps
    )


def check_history(database: str, applied: Mapping[int, str], known: list[Migration]) -> None:
    """Reject a database that this program's migrations did not make.

    Args:
        database: what to call it in the error.
        applied: the migrations that it records, number to name.
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


def newer_database(database: str, found: int, known: int) -> str:
    """A sentence for an older program that meets a newer database."""
    return (
        f"{database} was made by a newer Userkeep (its schema is at step {found}, this program "
        f"knows {known}). Install the newer Userkeep, or restore a backup from before the "
        "upgrade; nothing was changed."
    )
