"""Sessions: the list, a conversation, and what can be done with one."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import UserkeepError
from userkeep.http.console.pages.forms import text_or_none
from userkeep.http.console.visit import PageFunction, Visit, needs

_AT_ONCE = "50"
_MESSAGES_AT_ONCE = 40
_OWNED = {"users": "true", "none": "false"}


async def list_(visit: Visit) -> Response:
    """List sessions by activity: all, those of users, or those of none; open one by its id."""
    if visit.is_form:
        return visit.go_to("sessions", visit.form.get("session_id", ""))
    owned = visit.query.get("owned", "")
    query = {"limit": _AT_ONCE, "order": "-active", **visit.cursor}
    if owned in _OWNED:
        query |= {"owned": _OWNED[owned], "order": "-created"}
    page = await visit.perform("sessions.list", query=query)
    template = "sessions_rows" if visit.is_fragment else "sessions"
    return visit.page(template, sessions=page, owned=owned)


async def show(visit: Visit) -> Response:
    """Show a conversation: its newest messages, or those before one."""
    ids = {"session_id": visit.request.id("session_id")}
    session = await visit.perform("sessions.get", ids=ids)
    messages, older = await _messages(visit, ids)
    template = "transcript" if visit.is_fragment else "session"
    return visit.page(template, session=session, messages=messages, older=older)


async def _messages(visit: Visit, ids: dict[str, str]) -> tuple[list[Any], int | None]:
    """Return messages, oldest first, and before which seq there are older ones."""
    query = {"limit": str(_MESSAGES_AT_ONCE), "order": "-created"}
    before = visit.query.get("before", "")
    if before:
        query["before_seq"] = before
    page = await visit.perform("messages.list", ids=ids, query=query)
    messages = page["items"][::-1]
    return messages, messages[0]["seq"] if page["next"] and messages else None


@needs("write")
async def rename(visit: Visit) -> Response:
    """Change the title of a session."""
    ids = {"session_id": visit.request.id("session_id")}
    session = await visit.perform("sessions.get", ids=ids)
    if not visit.is_form:
        return visit.page("session_rename", session=session, title=session["title"] or "")
    title = visit.form.get("title", "")
    try:
        await visit.perform("sessions.update", ids=ids, body={"title": text_or_none(title)})
    except UserkeepError as error:
        return visit.page("session_rename", session=session, title=title, error=error)
    return visit.go_to("sessions", ids["session_id"], done="saved")


@needs("write")
async def end(visit: Visit) -> Response:
    """End a session, or open it again."""
    ids = {"session_id": visit.request.id("session_id")}
    if visit.is_form:
        operation = "sessions.reopen" if visit.form.get("reopen") else "sessions.end"
        await visit.perform(operation, ids=ids)
    return visit.go_to("sessions", ids["session_id"], done="saved" if visit.is_form else "")


@needs("write")
async def delete(visit: Visit) -> Response:
    """Delete a session, after a question."""
    ids = {"session_id": visit.request.id("session_id")}
    if not visit.is_form:
        session = await visit.perform("sessions.get", ids=ids)
        return visit.page("session_delete", session=session)
    erasure = await visit.perform("sessions.delete", ids=ids)
    return visit.go_to("deletions", erasure["id"])


PAGES: dict[str, PageFunction] = {
    "/sessions": list_,
    "/sessions/{session_id}": show,
    "/sessions/{session_id}/rename": rename,
    "/sessions/{session_id}/end": end,
    "/sessions/{session_id}/delete": delete,
}
