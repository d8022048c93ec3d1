"""From what is stored to what travels, and from what a list asks to what a query takes."""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from userkeep.api import wire
from userkeep.domain.erasure import Erasure, Subject
from userkeep.domain.message import Message
from userkeep.domain.purge import Step
from userkeep.domain.session import Session
from userkeep.domain.user import User
from userkeep.domain.values.filters import read_list_filter
from userkeep.domain.values.paging import Page, read_cursor, write_cursor
from userkeep.domain.values.times import Instant, from_datetime, to_datetime
from userkeep.domain.verification import Verification
from userkeep.services.search import Hit

Row = TypeVar("Row")
Shape = TypeVar("Shape")


def user(stored: User) -> wire.User:
    """A user as it travels."""
    return wire.User(
        user_id=stored.user_id,
        uuid=stored.uuid,
        email=stored.email,
        first_name=stored.first_name,
        last_name=stored.last_name,
        metadata=wire.opaque(stored.metadata),
        revision=stored.revision,
        created_at=to_datetime(stored.created_at),
        updated_at=to_datetime(stored.updated_at),
    )


def session(stored: Session) -> wire.Session:
    """A session as it travels."""
    return wire.Session(
        session_id=stored.session_id,
        uuid=stored.uuid,
        user_id=stored.user_id,
        metadata=wire.opaque(stored.metadata),
        message_count=stored.message_count,
        ended_at=_moment(stored.ended_at),
        revision=stored.revision,
        created_at=to_datetime(stored.created_at),
        updated_at=to_datetime(stored.updated_at),
    )


def message(stored: Message) -> wire.Message:
    """A message as it travels."""
    return wire.Message(
        seq=stored.seq,
        uuid=stored.uuid,
        role=stored.role,
        role_type=stored.role_type,  # type: ignore[arg-type]
        content=stored.content,
        metadata=wire.opaque(stored.metadata),
        data=wire.opaque(stored.data),
        token_count=stored.token_count,
        created_at=to_datetime(stored.created_at),
    )


def hit(found: Hit, *, explain: bool) -> wire.Hit:
    """A message that was found, as it travels."""
    stored = found.message
    return wire.Hit(
        message=wire.FoundMessage(
            session_id=stored.session_id, **msgspec.structs.asdict(message(stored))
        ),
        score=found.score,
        snippet=wire.Snippet(
            text=found.snippet.text,
            marks=[wire.Mark(start=mark.start, end=mark.end) for mark in found.snippet.marks],
        ),
        explanation=_explanation(found) if explain else None,
    )


def _explanation(found: Hit) -> wire.Explanation:
    weight = found.weight
    return wire.Explanation(
        words=[
            wire.WordScore(word=each.word, score=each.score, seq=each.seq) for each in found.words
        ],
        participant=weight.participant if weight else None,
        date=weight.date if weight else None,
        role_weight=weight.role_weight if weight else 1.0,
    )


def erasure(stored: Erasure, step: Step | None = None) -> wire.Erasure:
    """An erasure as it travels.

    Args:
        step: what the purge that runs now does, if one does.
    """
    is_user_gone = stored.subject == Subject.USER and stored.is_finished
    return wire.Erasure(
        id=stored.uuid,
        subject=stored.subject,  # type: ignore[arg-type]
        subject_id=stored.subject_id,
        subject_uuid=stored.subject_uuid,
        state=stored.state,  # type: ignore[arg-type]
        counts=wire.DeletedCounts(
            users=int(is_user_gone),
            sessions=stored.session_count,
            messages=stored.message_count,
        ),
        started_at=to_datetime(stored.started_at),
        deleted_at=_moment(stored.deleted_at),
        purged_at=_moment(stored.purged_at),
        purge=_purge(stored, step),
    )


def _purge(stored: Erasure, step: Step | None) -> wire.Purge:
    is_open = stored.is_finished and stored.purged_at is None
    covers = is_open and step is not None and step.purge_uuid == stored.purge_uuid
    left = msgspec.json.decode(stored.skipped_steps or "[]", type=list[wire.NotDone])
    return wire.Purge(
        asked_at=_moment(stored.purge_requested_at),
        doing=step.doing if step and covers else None,
        problem=step.problem if step and covers else None,
        not_done=left,
    )


def verification(done: Verification) -> wire.Verification:
    """What came of a verification, as it travels."""
    return wire.Verification(
        erasure=erasure(done.erasure),
        found=done.residue_count > 0,
        hits=[
            wire.Residue(where=each.where, canary=each.canary, form=each.form)
            for each in done.residues
        ],
        hit_count=done.residue_count,
        id_reused=done.id_reused,
        looked_at=[
            wire.LookedAt(what=each.what, rows=each.rows, size_bytes=each.size_bytes)
            for each in done.looked_at
        ],
        not_looked_at=[
            wire.NotLookedAt(what=each.what, why=each.why) for each in done.not_looked_at
        ],
    )


def asked_page(query: wire.ListQuery, filters: dict[str, Any] | None = None) -> Page:
    """The page that a list query asks for.

    Raises:
        BadRequest: the cursor is not one of ours, or belongs to other filters.
    """
    after = None
    if query.cursor is not None:
        after = read_cursor(query.cursor, query.order, filters)
    return Page(limit=query.limit, order=query.order, after=after)


def page(
    rows: Sequence[Row],
    asked: Page,
    shape: Callable[[Row], Shape],
    filters: dict[str, Any] | None = None,
    number: Callable[[Row], int] = attrgetter("number"),
) -> wire.Page[Shape]:
    """A page as it travels; `rows` has one more than was asked for where more are left."""
    shown = rows[: asked.limit]
    is_last = len(rows) <= asked.limit
    cursor = None if is_last else write_cursor(asked.order, filters, number(shown[-1]))
    return wire.Page(items=[shape(row) for row in shown], next=cursor)


def dated_filters(query: wire.ListUsers | wire.ListSessions) -> dict[str, Any]:
    """The filters that users and sessions share, by their names in the queries."""
    return {
        "created_after_at": instant(query.created_after or None),
        "created_before_at": instant(query.created_before or None),
        "filter": read_list_filter(query.filter, query.metadata),
    }


def filtered(query: wire.FilteredList) -> dict[str, Any]:
    """The filter of a list that has no other, by its name in the queries."""
    return {"filter": read_list_filter(query.filter, {})}


def instant(moment: datetime | None) -> Instant | None:
    """A time that was given, or None."""
    return None if moment is None else from_datetime(moment)


def _moment(instant: Instant | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)
