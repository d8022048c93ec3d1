"""The form of a health check's result, and the check of the schema, which both engines share."""

from collections.abc import Mapping
from typing import NamedTuple

from userkeep.storage.engine import Dialect
from userkeep.storage.migrations import load_migrations, newer_database

COPY_SOURCE = "SELECT value FROM instance WHERE name = 'copy_source'"
"""Has a row where the database is an incomplete copy."""

KNOWN_FINGERPRINT = "SELECT value FROM instance WHERE name = 'secret_fingerprint'"

CHANGE_MODES = "Make files with personal data private: chmod 600 FILE, chmod 700 FOLDER."

_MIB = 1024 * 1024


class Finding(NamedTuple):
    """The result of a check.

    Attributes:
        subject: what was checked, in one word.
        is_well: whether nothing has to be done.
        finding: what was found.
        advice: what to do, if there is something.
    """

    subject: str
    is_well: bool
    finding: str
    advice: str = ""


def check_schema(
    dialect: Dialect,
    place: str,
    size_bytes: int,
    applied: Mapping[int, str],
    *,
    is_complete: bool,
) -> Finding:
    """Check the schema of a database.

    Args:
        place: the name of the database.
        applied: the migrations that it records, number to name.
        is_complete: whether it is no incomplete copy.
    """
    known = [step.number for step in load_migrations(dialect)]
    if set(applied) - set(known):
        return Finding("database", False, newer_database(place, max(applied), known[-1]))
    if not is_complete:
        return Finding(
            "database",
            False,
            f"{place} is an incomplete copy",
            "Run the same `userkeep copy` again; it continues where it stopped.",
        )
    size_mib = size_bytes / _MIB
    finding = f"{place}, {size_mib:.1f} MiB, schema at step {max(applied, default=0)}"
    is_old = bool(set(known) - set(applied))
    advice = "`userkeep serve` or `userkeep migrate` migrates it." if is_old else ""
    return Finding("database", True, finding, advice)
