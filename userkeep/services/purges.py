"""Purges, as far as rows tell of them: what waits for one, which erasures it covers, how it ended.

What a purge does to the files is the engine's; see `userkeep.jobs.purge`. A purge covers what was
deleted before it began, and says so only at its end: whatever stops it half-way, the next begins
again.
"""

from collections.abc import Sequence

import msgspec

from userkeep.domain.erasure import Erasure
from userkeep.domain.purge import NotDone, Step
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import Instant
from userkeep.services import erasures, instance

MERGED_PAGES = 64
"""So much of the index is merged in one transaction: 32 ms at the most."""

_LEAST_ROW = -(2**63)
_PAGE_BYTES = 4096
# No text has words that begin with an @ and go on like these; see domain.search.analyzer and the
# queries.
_PADDING = (
    (_LEAST_ROW + 2, f"@{'a' * _PAGE_BYTES} @{'b' * _PAGE_BYTES}"),
    (_LEAST_ROW + 1, "@"),
    (_LEAST_ROW, "@"),
)


class Waiting(msgspec.Struct):
    """What waits for a purge.

    Attributes:
        since_at: when the first of it was deleted or edited.
        is_asked: whether somebody has asked for the purge at once.
    """

    since_at: Instant
    is_asked: bool


def waiting(tx: Transaction) -> Waiting | None:
    """What waits for a purge, in all projects; None where nothing does."""
    found: list[Instant] = []
    is_asked = False
    for project_id in instance.project_ids(tx):
        asked_at = tx.fetch_one("first_purge_asked", _instant, project_id=project_id)
        deleted_at = tx.fetch_one("oldest_unpurged", _instant, project_id=project_id)
        edited_at = tx.fetch_one("oldest_edit", _instant, project_id=project_id)
        found += [at for at in (asked_at, deleted_at, edited_at) if at is not None]
        is_asked = is_asked or asked_at is not None
    return Waiting(min(found), is_asked) if found else None


def database_bytes(tx: Transaction) -> int:
    """How large the database is."""
    return tx.fetch_one("database_bytes", int) or 0


def ask(tx: Transaction, uuid: str) -> Erasure:
    """Let an erasure be purged at once, as soon as it is deleted.

    Raises:
        NotFound: there is no such erasure.
    """
    erasure = erasures.get(tx, uuid)
    of_erasure = {"uuid": erasure.uuid}
    return tx.fetch_one("ask_purge", Erasure, now_at=tx.now, **of_erasure) or erasure


def begin(tx: Transaction) -> Step:
    """Begin a purge, which covers all that is deleted or edited by now."""
    step = Step(tx.new_uuid(), "merging the index of words")
    for project_id in instance.project_ids(tx):
        of_purge = {"project_id": project_id, "purge_uuid": step.purge_uuid}
        tx.defer("assign_erasures_to_purge", **of_purge)
        tx.defer("assign_edits_to_purge", **of_purge)
    tell(tx, step)
    return step


def begin_merging_index(tx: Transaction) -> None:
    """Begin to merge the whole index, so that nothing of what was taken out of it is left.

    Twice, with an entry of our own put in before each: after the first time all there was is in one
    piece, larger than a page because of the long words, and the second entry is in a piece beside
    it. What the queries say of levels is then so, whatever they were before.
    """
    first, between, second = ({"row": row, "words": words} for row, words in _PADDING)
    tx.defer("pad_index", **first)
    tx.defer("pad_index", **between)
    merge_index(tx, -MERGED_PAGES)
    tx.defer("pad_index", **second)
    merge_index(tx, -MERGED_PAGES)
    for padding in (first, between, second):
        tx.defer("unpad_index", **padding)


def merge_index(tx: Transaction, pages: int = MERGED_PAGES) -> bool:
    """Do a part of the work of merging the index; whether there was any.

    Args:
        pages: about how many are written; a negative number begins the work.
    """
    # FTS5 says that one change is its own bookkeeping.
    return tx.execute_many("merge_index", [{"pages": pages}]) > 1


def tell(tx: Transaction, step: Step) -> None:
    """Let be known what a purge is doing."""
    tx.defer("set_purge_step", value=encode_json(step).decode())


def end(tx: Transaction, purge_uuid: str, left: Sequence[NotDone]) -> None:
    """End a purge: what it covers is purged, if nothing is left.

    Args:
        left: what could not be done here. Then nothing it covers is purged, and it is not tried
            again by itself.
    """
    for project_id in instance.project_ids(tx):
        of_purge = {"project_id": project_id, "purge_uuid": purge_uuid}
        tx.defer(
            "set_purged",
            purged_at=None if left else tx.now,
            skipped_steps=encode_json(list(left)).decode() if left else None,
            **of_purge,
        )
        tx.defer("delete_purged_edits", **of_purge)
    drop_step(tx)


def step(tx: Transaction) -> Step | None:
    """What the purge that is under way does; None where none is."""
    found = tx.fetch_one("get_purge_step", str)
    return msgspec.json.decode(found, type=Step) if found else None


def drop_step(tx: Transaction) -> None:
    """Let no purge be under way: whoever was at it has ended, as is known where one serves."""
    tx.defer("drop_purge_step")


def _instant(value: Instant | None) -> Instant | None:
    return value
