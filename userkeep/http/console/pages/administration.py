"""Keys, projects, settings and health: for admins."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import UserkeepError
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
        }
        for field in ("user_id", "expires_at"):
            if form.get(field, "").strip():
                body[field] = form[field].strip()
        try:
            created = await visit.perform("keys.add", body=body)
        except UserkeepError as found:
            error = found
    page = await visit.perform("keys.list", query={"limit": _AT_ONCE, "order": "-created"})
    values = {"keys": page["items"], "scopes": _SCOPES, "created": created}
    return visit.page("keys", form={} if created else form, error=error, **values)


async def revoke(visit: Visit) -> Response:
    """Revoke a key, after a question."""
    ids = {"id": visit.request.id("id")}
    if not visit.is_form:
        return visit.page("key_revoke", key=await visit.perform("keys.get", ids=ids))
    await visit.perform("keys.revoke", ids=ids)
    return visit.go_to("keys", done="revoked")


async def projects(visit: Visit) -> Response:
    """List projects, and create one."""
    error = None
    if visit.is_form:
        try:
            await visit.perform("projects.add", body={"name": visit.form.get("name", "")})
            return visit.go_to("projects", done="added")
        except UserkeepError as found:
            error = found
    page = await visit.perform("projects.list", query={"limit": _AT_ONCE})
    return visit.page("projects", projects=page["items"], form=visit.form, error=error)


async def health(visit: Visit) -> Response:
    """Show the checks of readiness, and the settings."""
    check_is_of_instance(visit.scope)
    readiness = await visit.about.readiness.run()
    return visit.page("health", readiness=readiness, settings=visit.about.settings)


PAGES: dict[str, PageFunction] = {
    "/keys": keys,
    "/keys/{id}/revoke": revoke,
    "/projects": projects,
    "/health": health,
}
