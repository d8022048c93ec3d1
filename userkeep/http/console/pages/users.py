"""Users: the list, one user, and what can be done with one."""

from typing import Any, Literal

from starlette.responses import Response

from userkeep.api.encoding import to_plain
from userkeep.domain.errors import UserkeepError
from userkeep.domain.quota import Quota
from userkeep.domain.transaction import scoped
from userkeep.domain.values.paging import decode_cursor, encode_cursor
from userkeep.domain.values.times import time_text
from userkeep.handlers.users import serialize_user
from userkeep.http.console.charts import calendar
from userkeep.http.console.pages.forms import (
    metadata_patch,
    number_or_zero,
    read_metadata,
    text_or_none,
)
from userkeep.http.console.pages.search import found_by
from userkeep.http.console.visit import PageFunction, Visit, needs
from userkeep.http.responses import stream_json
from userkeep.services import overviews, quotas

_FIELDS = ("email", "first_name", "last_name")
_BY_ACTIVITY: Literal["-active"] = "-active"
_ORDERS = {"-created": "newest first", "created": "oldest first", _BY_ACTIVITY: "last active"}
_AT_ONCE = 50
_NEWEST = "-created"
_SESSIONS_AT_ONCE = "30"
_MOST_MEASURED = 10_000
"""Of a user with more messages, the bytes are shown only if they are known."""


async def list_(visit: Visit) -> Response:
    """List users, or find them by words of their ids, addresses and names.

    Words come in a form and never in an address, which reverse proxies log.
    """
    words = visit.form.get("q", "").strip()
    asked = visit.form if visit.is_form else visit.query
    order, cursor = asked.get("order", _NEWEST), asked.get("cursor", "")
    if words and order == _BY_ACTIVITY:
        order = _NEWEST
    template = "users_rows" if visit.is_fragment else "users"
    is_added = bool(cursor) and visit.is_fragment
    values: dict[str, Any] = {
        "words": words,
        "order": order,
        "orders": _ORDERS,
        "is_added": is_added,
    }
    try:
        if order == _BY_ACTIVITY:
            page = await _by_activity(visit, cursor)
        else:
            query = {"limit": str(_AT_ONCE), "order": order, "q": words, "cursor": cursor}
            given = {name: value for name, value in query.items() if value}
            page = await visit.perform("users.list", query=given)
    except UserkeepError as error:
        return visit.page(template, page={"items": [], "next": None}, error=error, **values)
    return visit.page(template, page=page, **values)


async def _by_activity(visit: Visit, cursor: str) -> dict[str, Any]:
    """Return a page of users, those with the newest messages first."""
    after = decode_cursor(cursor, _BY_ACTIVITY, None) if cursor else None
    read = scoped(visit.scope, overviews.users_by_activity, _AT_ONCE, after)
    found = await visit.read(read)
    items = [
        {**to_plain(serialize_user(each.user)), "active_at": time_text(each.position.at)}
        for each in found.users
    ]
    end = found.next_after
    following = None if end is None else encode_cursor(_BY_ACTIVITY, None, end)
    return {"items": items, "next": following}


@needs("write")
async def add(visit: Visit) -> Response:
    """Add a user."""
    if not visit.is_form:
        return visit.page("user_new", form={})
    form = visit.form
    try:
        body: dict[str, Any] = {name: text_or_none(form.get(name, "")) for name in _FIELDS}
        body["user_id"] = form.get("user_id", "")
        body["metadata"] = read_metadata(form.get("metadata", ""))
        user = await visit.perform("users.add", body=body)
    except UserkeepError as error:
        return visit.page("user_new", form=form, error=error)
    return visit.go_to("users", user["user_id"], done="added")


async def show(visit: Visit) -> Response:
    """Show a user."""
    user_id = visit.request.id("user_id")
    user = await visit.perform("users.get", ids={"user_id": user_id})
    days = await visit.read(scoped(visit.scope, overviews.activity_of_user, user["user_id"]))
    quota = visit.scope.quota
    return visit.page(
        "user",
        user=user,
        sessions=await _sessions(visit, user_id),
        totals=await _totals(visit, user_id),
        documents=await visit.read(scoped(visit.scope, overviews.documents_of_user, user_id)),
        quota=quota,
        use=None if quota is None else await _use(visit, user_id, quota),
        calendar=calendar(days),
    )


async def sessions(visit: Visit) -> Response:
    """Show the next sessions of a user."""
    user_id = visit.request.id("user_id")
    user = await visit.perform("users.get", ids={"user_id": user_id})
    page = await _sessions(visit, user_id)
    template = "user_sessions_rows" if visit.is_fragment else "user_sessions"
    return visit.page(template, user=user, sessions=page)


@needs("write")
async def edit(visit: Visit) -> Response:
    """Edit a user, unless someone else has in the meantime."""
    user_id = visit.request.id("user_id")
    user = await visit.perform("users.get", ids={"user_id": user_id})
    if not visit.is_form:
        return visit.page("user_edit", user=user, form=None)
    form = visit.form
    try:
        body: dict[str, Any] = {name: text_or_none(form.get(name, "")) for name in _FIELDS}
        wanted = read_metadata(form.get("metadata", ""))
        body["metadata"] = metadata_patch(user["metadata"], wanted)
        await visit.perform(
            "users.update",
            ids={"user_id": user_id},
            body=body,
            if_revision=number_or_zero(form.get("revision", "")),
        )
    except UserkeepError as error:
        return visit.page("user_edit", user=user, form=form, error=error)
    return visit.go_to("users", user_id, done="saved")


async def search(visit: Visit) -> Response:
    """Search in what was said with a user."""
    user_id = visit.request.id("user_id")
    user = await visit.perform("users.get", ids={"user_id": user_id})
    found = await found_by(visit, user_id=user_id)
    return visit.page("hits" if visit.is_fragment else "user_search", user=user, **found)


async def export(visit: Visit) -> Response:
    """Send a user with all sessions and messages as JSON Lines."""
    user_id = visit.request.id("user_id")
    user = await visit.perform("users.get", ids={"user_id": user_id})
    response = stream_json(await visit.export(user_id))
    # By the uuid: the id may be an e-mail address, and the name of a file is kept in many places.
    name = f'attachment; filename="user-{user["uuid"]}.jsonl"'
    response.raw_headers.append((b"content-disposition", name.encode()))
    return response


@needs("write")
async def delete(visit: Visit) -> Response:
    """Show what will be deleted with a user; delete it when the id was typed."""
    user_id = visit.request.id("user_id")
    typed = visit.form.get("user_id", "")
    # Blanks around an id are easily lost on the way into a form.
    if typed and typed.strip() == user_id.strip():
        # Of a user who is being deleted already, it is the record of that deletion.
        query = {"purge": "now"} if visit.form.get("purge") else {}
        erasure = await visit.perform("users.delete", ids={"user_id": user_id}, query=query)
        return visit.go_to("deletions", erasure["id"])
    user = await visit.perform("users.get", ids={"user_id": user_id})
    return visit.page(
        "user_delete",
        status=422 if visit.is_form else 200,
        user=user,
        totals=await _totals(visit, user_id),
        typed=typed,
        is_wrong=visit.is_form,
    )


async def _sessions(visit: Visit, user_id: str) -> Any:
    query = {"limit": _SESSIONS_AT_ONCE, "order": "-active", "include": "last_message"}
    query |= visit.cursor
    return await visit.perform("users.sessions", ids={"user_id": user_id}, query=query)


async def _totals(visit: Visit, user_id: str) -> Any:
    return await visit.read(scoped(visit.scope, overviews.totals_of_user, user_id))


async def _use(visit: Visit, user_id: str, quota: Quota) -> Any:
    return await visit.read(scoped(visit.scope, quotas.use_of_user, user_id, quota, _MOST_MEASURED))


PAGES: dict[str, PageFunction] = {
    "/users": list_,
    "/new-user": add,
    "/users/{user_id}": show,
    "/users/{user_id}/sessions": sessions,
    "/users/{user_id}/edit": edit,
    "/users/{user_id}/search": search,
    "/users/{user_id}/export": export,
    "/users/{user_id}/delete": delete,
}
