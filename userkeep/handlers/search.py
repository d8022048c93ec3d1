"""Search: its handler, and what is sent of a hit."""

from collections.abc import Set

import msgspec
from msgspec import UNSET, UnsetType

from userkeep.api import search as wire
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import parse_filter
from userkeep.handlers.calls import Call, Handler
from userkeep.handlers.messages import serialize_message
from userkeep.handlers.values import optional_instant
from userkeep.services.search import Found, Hit, HitSession, SearchRequest, find
from userkeep.services.search_by_words import searched_words


def search(tx: Transaction, call: Call) -> wire.Hits:
    """Search messages."""
    body: wire.Search = call.body
    wanted = SearchRequest(
        query=None if body.query is None or not body.query.strip() else body.query,
        syntax=body.syntax,
        mode=body.mode,
        user_id=body.user_id,
        session_id=body.session_id,
        roles=body.roles,
        role_weights={str(role): weight for role, weight in body.role_weights.items()},
        created_after_at=optional_instant(body.created_after),
        created_before_at=optional_instant(body.created_before),
        filter=None if body.filter is None else parse_filter(body.filter),
        limit=body.limit,
        offset=body.offset,
        min_score=body.min_score,
        context=body.context,
        explain=body.explain,
        with_session="session" in body.include,
    )
    found = find(tx, wanted)
    omit = frozenset(body.omit)
    items = [serialize_hit(hit, omit, explain=body.explain) for hit in found.hits]
    degraded = found.degraded
    return wire.Hits(
        items=items,
        degraded=UNSET
        if degraded is None
        else wire.Degraded(reason=degraded.reason, detail=degraded.detail),
        query=_explained_query(tx, wanted, found),
    )


_NOTHING_LEFT = (
    "No word is left of the query: it has only punctuation, or words that are excluded. Nothing "
    "was searched for. Without a query, a search returns the newest messages."
)


def _explained_query(
    tx: Transaction, search: SearchRequest, found: Found
) -> wire.ExplainedQuery | UnsetType | None:
    if not search.explain:
        return UNSET
    if search.query is None:
        return None
    words = searched_words(tx, search.query, search.syntax)
    return wire.ExplainedQuery(
        words=words,
        note=None if words else _NOTHING_LEFT,
        mode=found.mode or UNSET,
        embedded=found.embedded_text or UNSET,
    )


def serialize_hit(hit: Hit, omit: Set[str], *, explain: bool) -> wire.Hit:
    """Return a message that was found as it is sent, without some of its fields."""
    message = hit.message
    return wire.Hit(
        message=wire.FoundMessage(
            session_id=message.session_id,
            **msgspec.structs.asdict(serialize_message(message, omit)),
        ),
        score=hit.score,
        snippet=wire.Snippet(
            text=hit.snippet.text,
            marks=[wire.Mark(start=mark.start, end=mark.end) for mark in hit.snippet.marks],
        ),
        explanation=_explanation(hit) if explain else None,
        session=_session(hit.session),
    )


def _session(session: HitSession | None) -> wire.FoundSession | None:
    if session is None:
        return None
    return wire.FoundSession(
        session_id=session.session_id, title=session.title, user_id=session.user_id
    )


def _explanation(hit: Hit) -> wire.Explanation:
    weight = hit.weight
    return wire.Explanation(
        words=[
            wire.WordScore(word=each.word, score=each.score, seq=each.seq) for each in hit.words
        ],
        participant=weight.participant if weight else None,
        date=weight.date if weight else None,
        role_weight=weight.role_weight if weight else 1.0,
        words_score=UNSET if hit.shares is None else hit.shares.words,
        meaning=UNSET if hit.shares is None else _meaning(hit),
    )


def _meaning(hit: Hit) -> wire.MeaningScore | None:
    if hit.shares is None or not hit.shares.meaning:
        return None
    return wire.MeaningScore(score=hit.shares.meaning, seq=hit.message.seq + hit.shares.offset)


HANDLERS: dict[str, Handler] = {"messages.search": search}
