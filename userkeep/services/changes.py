"""What updates of all resources have in common: checking the revision, and merging metadata."""

from typing import Any

import msgspec
from msgspec import UNSET

from userkeep.domain.errors import RevisionMismatch
from userkeep.domain.values.metadata import Merge, check_metadata, decode_metadata, encode_metadata

_canonical = msgspec.json.Encoder(order="deterministic").encode
"""Python's own comparison takes 1, 1.0 and true for equal."""


def check_revision(current: int, expected: int | None) -> None:
    """Reject an update of another revision than the current one.

    Raises:
        RevisionMismatch: with the current revision.
    """
    if expected is not None and expected != current:
        raise RevisionMismatch(
            f"The revision is {current}, not {expected}. Read the resource again, then retry."
        )


def merge_metadata(stored: str | None, change: Any, merge: Merge) -> str | None:
    """Return the metadata to store after a change: UNSET keeps it, None removes it.

    It is the stored text itself if the change sets what is there.
    """
    if change is UNSET:
        return stored
    if change is None:
        return None
    check_metadata(change)
    merged = merge(decode_metadata(stored), change)
    if stored is not None and _canonical(merged) == _canonical(decode_metadata(stored)):
        return stored
    return encode_metadata(merged)
