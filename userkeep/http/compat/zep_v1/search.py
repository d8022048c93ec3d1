"""Search on `/api/v1`: the messages of one session, by text, metadata or both."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.http.compat.lenient import Fields, query_integer
from userkeep.http.compat.message_filter import read_message_filter
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.serializers import ZepHit, serialize_hit
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response
from userkeep.services import search
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

_DEFAULT_LIMIT = 10
_SUMMARY, _SCOPES = "summary", {"messages", "summary"}
_MMR = "mmr"


class Search(Resource):
    """`/sessions/{id}/search`"""

    def __init__(self, engine: Engine, worker: Worker, compute: ComputeThreads) -> None:
        super().__init__(engine, worker, compute)
        self.handlers = {("POST", "/sessions/{session_id}/search"): self.find}

    async def find(self, request: Request) -> Response:
        """Return the best matches first; without a text, the newest messages first.

        An unknown session has no matches.
        """
        session_id = await self.session_id(request)
        wanted = await self.parse(request, _search_request, session_id, _limit(request))
        if wanted is None:
            return json_response([])  # there are no summaries yet
        try:
            return await self.read_json(
                request, search.find, search=wanted, serialize=_serialize, is_bounded=False
            )
        except (NotFound, Gone):
            return json_response([])


def _is_message_search(fields: Fields) -> bool:
    scope = fields.text("search_scope") or "messages"
    if scope not in _SCOPES:
        raise BadRequest("search_scope must be messages or summary", "search_scope")
    return scope != _SUMMARY


def _limit(request: Request) -> int:
    """Return the limit. In Zep a negative one means no limit; here it is the maximum."""
    limit = query_integer(request.query(), "limit") or _DEFAULT_LIMIT
    return min(limit, MAX_LIMIT) if limit > 0 else MAX_LIMIT


def _serialize(found: search.Found) -> list[ZepHit]:
    """Return matches. As in Zep, what vectors have decided has a `dist` between 0 and 1."""
    if found.embedded_text is not None:
        for hit in found.hits:
            hit.score /= 1 + hit.score
    return [serialize_hit(hit) for hit in found.hits]


def _search_request(fields: Fields, session_id: str, limit: int) -> search.SearchRequest | None:
    """Return what to search for; None for a search in summaries."""
    is_message_search = _is_message_search(fields)
    wanted = _message_search(fields, session_id, limit)
    return wanted if is_message_search else None


def _message_search(fields: Fields, session_id: str, limit: int) -> search.SearchRequest:
    text, metadata = fields.text("text"), fields.object("metadata")
    # Maximal marginal relevance leaves out results that say the same. The order is by relevance.
    is_mmr = fields.text("search_type") == _MMR
    fields.check_number("mmr_lambda")
    if not text and metadata is None:
        raise BadRequest("empty query: give text, metadata or both", "text", "metadata")
    if not text and is_mmr:
        raise BadRequest("a search by mmr needs a text", "text")
    return search.SearchRequest(
        # Clients send whole prompts, so a text that is too long is cut and not rejected.
        query=text[: search.MAX_QUERY_LENGTH] if text else None,
        session_id=session_id,
        limit=limit,
        **_conditions(metadata or {}),
    )


def _conditions(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the conditions in the `metadata` of a search, as fields of SearchRequest.

    Raises:
        BadRequest: with the invalid field.
    """
    wanted = read_message_filter(metadata)
    # Zep's bounds are inclusive, those of a search are exclusive.
    return {
        "filter": wanted.node,
        "created_after_at": None if wanted.from_at is None else wanted.from_at - 1,
        "created_before_at": None if wanted.until_at is None else wanted.until_at + 1,
    }
