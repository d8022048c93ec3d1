"""Schema changes: small numbered files, one folder for each engine, applied once and in order."""

from importlib import resources
from typing import NamedTuple


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


def newer_database(database: str, found: int, known: int) -> str:
    """A sentence for an older program that meets a newer database."""
    return (
        f"{database} was made by a newer Recollect (its schema is at step {found}, this program "
        f"knows {known}). Install the newer Recollect, or restore a backup from before the "
        "upgrade; nothing was changed."
    )
