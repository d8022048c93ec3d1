"""The search on the `/api/v1` door: messages of one session, by text, by metadata, or both."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import BadRequest, Gone, NotFound
from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.http.compat.lenient import Fields, query_integer, read_object
from userkeep.http.compat.message_filter import read_message_filter
from userkeep.http.compat.zep_v1 import shapes
from userkeep.http.compat.zep_v1.part import Part
from userkeep.http.requests import Request
from userkeep.http.responses import json_response
from userkeep.services import search
from userkeep.storage.engine import Engine

_DEFAULT_LIMIT = 10
_SUMMARY, _SCOPES = "summary", {"messages", "summary"}
_MMR = "mmr"


class Search(Part):
    """`/sessions/{id}/search`"""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.handlers = {("POST", "/sessions/{session_id}/search"): self.find}

    async def find(self, request: Request) -> Response:
        """What is meant, nearest first; without a text, the newest. None of an unknown session."""
        fields = read_object(await request.body())
        is_of_messages = _is_of_messages(fields)
        asked = _asked(fields, await self.session_id(request), _limit(request))
        if not is_of_messages:
            return json_response([])  # there are no summaries yet
        try:
            found = await self.read(request, search.find, asked=asked, is_bounded=False)
        except (NotFound, Gone):
            found = []
        return json_response([shapes.hit(each) for each in found])


def _is_of_messages(fields: Fields) -> bool:
    scope = fields.text("search_scope") or "messages"
    if scope not in _SCOPES:
        raise BadRequest("search_scope must be messages or summary", "search_scope")
    return scope != _SUMMARY


def _limit(request: Request) -> int:
    """How many at most; negative meant all there are, which is bounded here as it is natively."""
    limit = query_integer(request.query(), "limit") or _DEFAULT_LIMIT
    return min(limit, MAX_LIMIT) if limit > 0 else MAX_LIMIT


def _asked(fields: Fields, session_id: str, limit: int) -> search.Asked:
    text, metadata = fields.text("text"), fields.object("metadata")
    # Maximal marginal relevance compares vectors. Where there are none, the nearest are the answer.
    is_mmr = fields.text("search_type") == _MMR
    fields.check_number("mmr_lambda")
    if not text and metadata is None:
        raise BadRequest("empty query: give text, metadata or both", "text", "metadata")
    if not text and is_mmr:
        raise BadRequest("a search by mmr needs a text", "text")
    return search.Asked(
        # A whole prompt as the question was no error: its beginning is what is looked for.
        query=text[: search.MAX_QUERY_LENGTH] if text else None,
        session_id=session_id,
        limit=limit,
        **_conditions(metadata or {}),
    )


def _conditions(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the metadata of a search asks of a message, as fields of Asked; other keys ask nothing.

    Zep's bounds are inclusive.

    Raises:
        BadRequest: naming what cannot be asked.
    """
    wanted = read_message_filter(metadata)
    return {
        "filter": wanted.node,
        "created_after_at": None if wanted.from_at is None else wanted.from_at - 1,
        "created_before_at": None if wanted.until_at is None else wanted.until_at + 1,
    }
