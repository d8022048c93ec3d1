"""What changes of any resource have in common: the revision they were made to, and merging."""

from typing import Any

from msgspec import UNSET

from userkeep.domain.errors import RevisionMismatch
from userkeep.domain.values.metadata import Merge, check_json, read_metadata, stored_metadata


def check_revision(present: int, expected: int | None) -> None:
    """Refuse a change that was made to another revision.

    Raises:
        RevisionMismatch: naming the present one.
    """
    if expected is not None and expected != present:
        raise RevisionMismatch(
            f"The revision is {present}, not {expected}. Read the resource again, then retry."
        )


def merged(stored: str | None, change: Any, merge: Merge) -> str | None:
    """What is stored after a change of metadata: UNSET keeps it, None removes it."""
    if change is UNSET:
        return stored
    if change is None:
        return None
    check_json(change, "metadata")
    return stored_metadata(merge(read_metadata(stored), change))
