"""Scrubs, as far as rows tell of them: what waits for one, which erasures it covers, how it ended.

What a scrub does to the files is the engine's; see `recollect.scrubbing`. A scrub covers what was
erased before it began, and says so only at its end: whatever stops it half-way, the next begins
again.
"""

from collections.abc import Sequence

import msgspec

from recollect.domain.erasure import Erasure
from recollect.domain.metadata import encode_json
from recollect.domain.scope import Scope
from recollect.domain.scrub import NotDone, Step
from recollect.domain.times import Instant
from recollect.domain.transaction import Transaction
from recollect.services import erasures, installation

MERGED_PAGES = 64
"""So much of the index is merged in one transaction: 32 ms at the most."""

_LEAST_ROW = -(2**63)
_PAGE_BYTES = 4096
# No text has words that begin with an @ and go on like these; see domain.words and the queries.
_PADDING = (
    (_LEAST_ROW + 2, f"@{'a' * _PAGE_BYTES} @{'b' * _PAGE_BYTES}"),
    (_LEAST_ROW + 1, "@"),
    (_LEAST_ROW, "@"),
)


class Waiting(msgspec.Struct):
    """What waits for a scrub.

    Attributes:
        since_at: when the first of it was erased or edited.
        is_asked: whether somebody has asked for the scrub at once.
    """

    since_at: Instant
    is_asked: bool


def waiting(tx: Transaction) -> Waiting | None:
    """What waits for a scrub, in all projects; None where nothing does."""
    found: list[Instant] = []
    is_asked = False
    for project_id in installation.project_ids(tx):
        asked_at = tx.one("first_scrub_asked", _instant, project_id=project_id)
        erased_at = tx.one("oldest_unscrubbed", _instant, project_id=project_id)
        edited_at = tx.one("oldest_edit", _instant, project_id=project_id)
        found += [at for at in (asked_at, erased_at, edited_at) if at is not None]
        is_asked = is_asked or asked_at is not None
    return Waiting(min(found), is_asked) if found else None


def database_bytes(tx: Transaction) -> int:
    """How large the database is."""
    return tx.one("database_bytes", int) or 0


def ask(tx: Transaction, scope: Scope, uuid: str) -> Erasure:
    """Let an erasure be scrubbed at once, as soon as it is erased.

    Raises:
        NotFound: there is no such erasure.
    """
    erasure = erasures.get(tx, scope, uuid)
    of_erasure = {"project_id": scope.project_id, "uuid": erasure.uuid}
    return tx.one("ask_scrub", Erasure, now_at=tx.now, **of_erasure) or erasure


def begin(tx: Transaction) -> Step:
    """Begin a scrub, which covers all that is erased or edited by now."""
    step = Step(tx.new_uuid(), "merging the index of words")
    for project_id in installation.project_ids(tx):
        of_scrub = {"project_id": project_id, "scrub_uuid": step.scrub_uuid}
        tx.tell("cover_erasures", **of_scrub)
        tx.tell("cover_edits", **of_scrub)
    tell(tx, step)
    return step


def begin_merging_index(tx: Transaction) -> None:
    """Begin to merge the whole index, so that nothing of what was taken out of it is left.

    Twice, with an entry of our own put in before each: after the first time all there was is in one
    piece, larger than a page because of the long words, and the second entry is in a piece beside
    it. What the queries say of levels is then so, whatever they were before.
    """
    first, between, second = ({"row": row, "words": words} for row, words in _PADDING)
    tx.tell("pad_index", **first)
    tx.tell("pad_index", **between)
    merge_index(tx, -MERGED_PAGES)
    tx.tell("pad_index", **second)
    merge_index(tx, -MERGED_PAGES)
    for padding in (first, between, second):
        tx.tell("unpad_index", **padding)


def merge_index(tx: Transaction, pages: int = MERGED_PAGES) -> bool:
    """Do a part of the work of merging the index; whether there was any.

    Args:
        pages: about how many are written; a negative number begins the work.
    """
    # FTS5 says that one change is its own bookkeeping.
    return tx.run_many("merge_index", [{"pages": pages}]) > 1


def tell(tx: Transaction, step: Step) -> None:
    """Let be known what a scrub is doing."""
    tx.tell("set_scrub_step", value=encode_json(step).decode())


def end(tx: Transaction, scrub_uuid: str, left: Sequence[NotDone]) -> None:
    """End a scrub: what it covers is scrubbed, if nothing is left.

    Args:
        left: what could not be done here. Then nothing it covers is scrubbed, and it is not tried
            again by itself.
    """
    for project_id in installation.project_ids(tx):
        of_scrub = {"project_id": project_id, "scrub_uuid": scrub_uuid}
        tx.tell(
            "set_scrubbed",
            scrubbed_at=None if left else tx.now,
            scrub_left=encode_json(list(left)).decode() if left else None,
            **of_scrub,
        )
        tx.tell("drop_covered_edits", **of_scrub)
    drop_step(tx)


def step(tx: Transaction) -> Step | None:
    """What the scrub that is under way does; None where none is."""
    found = tx.one("get_scrub_step", str)
    return msgspec.json.decode(found, type=Step) if found else None


def drop_step(tx: Transaction) -> None:
    """Let no scrub be under way: whoever was at it has ended, as is known where one serves."""
    tx.tell("drop_scrub_step")


def _instant(value: Instant | None) -> Instant | None:
    return value
