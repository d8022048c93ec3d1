"""Search in messages. What is searched for comes in a form, and never in an address."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import UserkeepError
from userkeep.http.console.pages.forms import number_or_zero
from userkeep.http.console.visit import PageFunction, Visit

_AT_ONCE = 20


async def search(visit: Visit) -> Response:
    """Search in all messages of the project."""
    found = await found_by(visit)
    return visit.page("hits" if visit.is_fragment else "search", **found)


async def found_by(visit: Visit, **part: str) -> dict[str, Any]:
    """Return what a search has found, as the templates of hits show it.

    Args:
        part: the user or the session in which it searches.
    """
    words = visit.form.get("q", "").strip()
    if not words:
        return {"words": "", "hits": None}
    offset = number_or_zero(visit.form.get("offset", ""))
    body = {
        "query": words,
        "syntax": "web",
        "limit": _AT_ONCE,
        "offset": offset,
        "include": ["session"],
        "omit": ["data", "metadata"],
        **part,
    }
    try:
        hits = await visit.perform("messages.search", body=body)
    except UserkeepError as error:
        return {"words": words, "hits": None, "error": error}
    has_more = len(hits["items"]) == _AT_ONCE
    return {"words": words, "hits": hits["items"], "next": offset + _AT_ONCE if has_more else None}


PAGES: dict[str, PageFunction] = {"/search": search}
