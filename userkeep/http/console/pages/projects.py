"""Projects of the instance: their limits, and their deletion. For admins of the project default."""

from functools import partial
from typing import Any

from starlette.responses import Response

from userkeep.api.encoding import to_plain
from userkeep.domain.errors import InvalidField, NotFound, RevisionMismatch, UserkeepError
from userkeep.domain.project import DEFAULT_NAME
from userkeep.handlers.projects import in_project, serialize_project
from userkeep.http.console.pages.forms import text_or_none
from userkeep.http.console.visit import PageFunction, Visit
from userkeep.services.overviews import COUNTED
from userkeep.services.project_overviews import (
    contents,
    deleted_projects,
    greatest_use,
)

_AT_ONCE = "100"
_LIMITS = {
    "max_messages_per_user": "Most messages of a user",
    "max_bytes_per_user": "Most bytes of a user",
    "max_documents_per_user": "Most documents of a user",
}
"""What the form names each limit."""

_MOST_DIGITS = 19
"""The greatest limit has so many."""


async def list_(visit: Visit) -> Response:
    """List projects, and create one."""
    error = None
    if visit.is_form:
        try:
            await visit.perform("projects.add", body={"name": visit.form.get("name", "")})
            return visit.go_to("projects", done="added")
        except UserkeepError as found:
            error = found
    page = await visit.perform("projects.list", query={"limit": _AT_ONCE, **visit.cursor})
    if visit.is_fragment:
        return visit.page("projects_rows", page=page)
    rows = await visit.read(deleted_projects)
    deleted = [to_plain(serialize_project(each)) for each in rows]
    return visit.page("projects", page=page, deleted=deleted, form=visit.form, error=error)


async def show(visit: Visit) -> Response:
    """Show a project: what it has and its limits, or how far its deletion is."""
    project = await visit.perform("projects.get", ids=_ids(visit))
    if project["deletion"] is not None:
        erasure = _record(project)
        waits_for_purge = not erasure["purged_at"] and erasure["purge"]["requested_at"]
        is_running = project["state"] == "deleting" or waits_for_purge
        template = "project_record" if visit.is_fragment else "project_deletion"
        return visit.page(template, project=project, erasure=erasure, is_running=is_running)
    return await _project_page(visit, project, form=None)


async def edit(visit: Visit) -> Response:
    """Change the name of a project, its limits, and whether its texts are embedded.

    Not if someone else has changed it in the meantime: the form has all of it.
    """
    project = await visit.perform("projects.get", ids=_ids(visit))
    if not visit.is_form or project["deletion"] is not None:
        return visit.go_to("projects", project["uuid"])
    form = visit.form
    try:
        if form.get("updated_at", project["updated_at"]) != project["updated_at"]:
            raise RevisionMismatch
        body: dict[str, Any] = {each: _limit(form, each) for each in _LIMITS}
        body["do_not_embed"] = bool(form.get("do_not_embed"))
        if project["name"] != DEFAULT_NAME:
            body["name"] = form.get("name", "").strip()
        await visit.perform("projects.update", ids=_ids(visit), body=body)
    except UserkeepError as error:
        return await _project_page(visit, project, form=form, error=error)
    return visit.go_to("projects", project["uuid"], done="saved")


async def delete(visit: Visit) -> Response:
    """Show what will be deleted with a project; delete it when its name was typed."""
    project = await visit.perform("projects.get", ids=_ids(visit))
    if project["deletion"] is not None:
        return visit.go_to("projects", project["uuid"])
    show_page = partial(
        visit.page,
        "project_delete",
        project=project,
        contents=await visit.read(in_project(visit.scope, project["uuid"], contents)),
        counted=COUNTED,
    )
    if not visit.is_form:
        return show_page(typed="", is_wrong=False)
    typed = visit.form.get("name", "")
    if typed.strip() != project["name"]:
        return show_page(typed=typed, is_wrong=True, status=422)
    query = {"purge": "now"} if visit.form.get("purge") else {}
    try:
        await visit.perform("projects.delete", ids={"project": project["uuid"]}, query=query)
    except UserkeepError as error:
        return show_page(typed=typed, is_wrong=False, error=error)
    return visit.go_to("projects", project["uuid"])


async def purge(visit: Visit) -> Response:
    """Purge the files of a deleted project now."""
    project = await visit.perform("projects.get", ids=_ids(visit))
    _check_was_deleted(project)
    if visit.is_form:
        ids = {"project": project["uuid"]}
        await visit.perform("projects.delete", ids=ids, query={"purge": "now"})
    return visit.go_to("projects", project["uuid"])


async def receipt(visit: Visit) -> Response:
    """Return the record of the deletion as a file."""
    project = await visit.perform("projects.get", ids=_ids(visit))
    _check_was_deleted(project)
    address = f"/v1/projects/{project['uuid']}"
    response = visit.page("receipt", erasure=_record(project), address=address)
    name = f'attachment; filename="deletion-{project["uuid"]}.html"'
    response.raw_headers.append((b"content-disposition", name.encode()))
    return response


async def _project_page(visit: Visit, project: Any, **values: Any) -> Response:
    key = project["uuid"]
    return visit.page(
        "project",
        project=project,
        is_default=project["name"] == DEFAULT_NAME,
        contents=await visit.read(in_project(visit.scope, key, contents)),
        use=await visit.read(in_project(visit.scope, key, greatest_use)),
        counted=COUNTED,
        limits=_LIMITS,
        **values,
    )


def _ids(visit: Visit) -> dict[str, str]:
    return {"project": visit.request.id("project")}


def _limit(form: dict[str, str], name: str) -> int | None:
    """Return a limit that was typed; None if nothing was, which removes it."""
    text = text_or_none(form.get(name, "").replace(",", ""))
    if text is None:
        return None
    is_limit = text.isascii() and text.isdigit() and int(text[: _MOST_DIGITS + 1]) > 0
    if not is_limit or len(text) > _MOST_DIGITS:
        raise InvalidField(
            f"{_LIMITS[name]} must be a whole number from 1, of at most {_MOST_DIGITS} digits; "
            f"empty for no limit. It is {text[:40]!r}.",
            name,
        )
    return int(text)


def _check_was_deleted(project: Any) -> None:
    if project["state"] != "deleted":
        raise NotFound("There is no record yet: the project is not deleted.")


def _record(project: Any) -> dict[str, Any]:
    """Return the deletion of a project as the record of a deletion is shown."""
    return {
        **project["deletion"],
        "id": project["uuid"],
        "subject": "project",
        "subject_id": project["name"],
        "subject_uuid": project["uuid"],
        "state": project["state"],
    }


PAGES: dict[str, PageFunction] = {
    "/projects": list_,
    "/projects/{project}": show,
    "/projects/{project}/edit": edit,
    "/projects/{project}/delete": delete,
    "/projects/{project}/purge": purge,
    "/projects/{project}/receipt": receipt,
}
