"""Keys, settings and health: for admins."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import UserkeepError
from userkeep.domain.key import DEFAULT_OVERLAP_HOURS, MAX_OVERLAP_HOURS
from userkeep.handlers.authorization import check_is_of_instance
from userkeep.http.console.pages.forms import text_or_none
from userkeep.http.console.visit import PageFunction, Visit

_AT_ONCE = "100"
_SCOPES = ("read", "write", "admin")


async def keys(visit: Visit) -> Response:
    """List keys, and create one, whose text is shown once."""
    created, error, form = None, None, visit.form
    if visit.is_form:
        body: dict[str, Any] = {
            "name": text_or_none(form.get("name", "")),
            "scope": form.get("scope", ""),
            **_project(visit),
        }
        for field in ("user_id", "expires_at"):
            if form.get(field, "").strip():
                body[field] = form[field].strip()
        try:
            created = await visit.perform("keys.add", body=body, is_once=True)
        except UserkeepError as found:
            error = found
    return await _keys_page(visit, created, form={} if created else form, error=error)


async def rotate(visit: Visit) -> Response:
    """Give a key a new text, which is shown once."""
    ids, project = {"id": visit.request.id("id")}, _project(visit)
    key = await visit.perform("keys.get", ids=ids, query=project)
    hours = visit.form.get("overlap_hours", str(DEFAULT_OVERLAP_HOURS)).strip()
    values = {"key": key, "overlap_hours": hours, "most_hours": MAX_OVERLAP_HOURS, **project}
    if not visit.is_form:
        return visit.page("key_rotate", **values)
    try:
        query = {"overlap_hours": hours, **project}
        rotated = await visit.perform("keys.rotate", ids=ids, query=query, is_once=True)
    except UserkeepError as error:
        return visit.page("key_rotate", error=error, **values)
    return await _keys_page(visit, rotated, form={}, has_ended=hours == "0")


async def _keys_page(
    visit: Visit, created: Any, *, has_ended: bool = False, **values: Any
) -> Response:
    """Return the list of keys, with the text of one that was created or rotated just now.

    Args:
        has_ended: whether the former text is not valid any more.
    """
    values["has_ended"] = has_ended
    query = {"limit": _AT_ONCE, "order": "-created", **_project(visit), **visit.cursor}
    page = await visit.perform("keys.list", query=query)
    values |= {"page": page, "scopes": _SCOPES, "created": created, **_project(visit)}
    return visit.page("keys_rows" if visit.is_fragment else "keys", **values)


async def revoke(visit: Visit) -> Response:
    """Revoke a key, after a question."""
    ids, project = {"id": visit.request.id("id")}, _project(visit)
    if not visit.is_form:
        key = await visit.perform("keys.get", ids=ids, query=project)
        values: dict[str, Any] = {"key": key, **project}
        return visit.page("key_revoke", **values)
    await visit.perform("keys.revoke", ids=ids, query=project)
    return visit.go_to("keys", done="revoked", **project)


def _project(visit: Visit) -> dict[str, str]:
    """Return the project of the keys, if the address names another one than the visitor's."""
    name = visit.query.get("project")
    return {"project": name} if name else {}


async def health(visit: Visit) -> Response:
    """Show the checks of readiness, and the settings."""
    check_is_of_instance(visit.scope)
    readiness = await visit.about.readiness.run()
    return visit.page("health", readiness=readiness, settings=visit.about.settings)


PAGES: dict[str, PageFunction] = {
    "/keys": keys,
    "/keys/{id}/rotate": rotate,
    "/keys/{id}/revoke": revoke,
    "/health": health,
}
