"""A message: all of it, and how it is edited and deleted."""

from starlette.responses import Response

from userkeep.domain.errors import UserkeepError
from userkeep.http.console.pages.forms import number_or_zero
from userkeep.http.console.visit import PageFunction, Visit, needs


def _ids(visit: Visit) -> dict[str, str]:
    return {"session_id": visit.request.id("session_id"), "id": visit.request.id("message_id")}


async def show(visit: Visit) -> Response:
    """Show all of a message."""
    ids = _ids(visit)
    message = await visit.perform("messages.get", ids=ids)
    return visit.page("message", session_id=ids["session_id"], message=message)


@needs("write")
async def edit(visit: Visit) -> Response:
    """Change the text of a message, unless it was changed in the meantime."""
    ids = _ids(visit)
    message = await visit.perform("messages.get", ids=ids)
    values = {"session_id": ids["session_id"], "message": message}
    if not visit.is_form:
        return visit.page("message_edit", content=message["content"], **values)
    content = visit.form.get("content", "")
    try:
        await visit.perform(
            "messages.update",
            ids=ids,
            body={"content": content},
            if_revision=number_or_zero(visit.form.get("revision", "")),
        )
    except UserkeepError as error:
        return visit.page("message_edit", content=content, error=error, **values)
    return visit.go_to("sessions", ids["session_id"], done="saved")


@needs("write")
async def delete(visit: Visit) -> Response:
    """Delete a message, after a question."""
    ids = _ids(visit)
    if not visit.is_form:
        message = await visit.perform("messages.get", ids=ids)
        return visit.page("message_delete", session_id=ids["session_id"], message=message)
    await visit.perform("messages.delete", ids=ids)
    return visit.go_to("sessions", ids["session_id"], done="deleted")


PAGES: dict[str, PageFunction] = {
    "/sessions/{session_id}/messages/{message_id}": show,
    "/sessions/{session_id}/messages/{message_id}/edit": edit,
    "/sessions/{session_id}/messages/{message_id}/delete": delete,
}
