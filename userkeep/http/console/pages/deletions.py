"""Deletions: their records, their progress, and the search for what should be gone."""

import re
from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import InvalidField, NotFound, UserkeepError
from userkeep.http.console.visit import PageFunction, Visit

_AT_ONCE = "50"


async def list_(visit: Visit) -> Response:
    """List deletions, the newest first."""
    query = {"limit": _AT_ONCE, "order": "-created", **visit.cursor}
    page = await visit.perform("erasures.list", query=query)
    template = "deletions_rows" if visit.is_fragment else "deletions"
    return visit.page(template, page=page)


async def show(visit: Visit) -> Response:
    """Show the record of a deletion, which renews itself until it is complete."""
    erasure = await visit.perform("erasures.get", ids={"id": visit.request.id("id")})
    state, is_asked = erasure["state"], erasure["purge"]["requested_at"] is not None
    is_running = state == "deleting" or (state == "deleted" and is_asked)
    template = "deletion_record" if visit.is_fragment else "deletion"
    return visit.page(template, erasure=erasure, is_running=is_running)


async def purge(visit: Visit) -> Response:
    """Purge the files now."""
    erasure_id = visit.request.id("id")
    if visit.is_form:
        await visit.perform("erasures.purge", ids={"id": erasure_id})
    return visit.go_to("deletions", erasure_id)


async def verify(visit: Visit) -> Response:
    """Look for texts of the deleted, which are not kept."""
    ids = {"id": visit.request.id("id")}
    erasure = await visit.perform("erasures.get", ids=ids)
    if not visit.is_form:
        return visit.page("verify", erasure=erasure, form={})
    form = visit.form
    terms = [line.strip() for line in form.get("texts", "").splitlines() if line.strip()]
    body: dict[str, Any] = {"search_terms": terms}
    if form.get("subject_id", "").strip():
        body["subject_id"] = form["subject_id"].strip()
    try:
        verification = await visit.perform("erasures.verify", ids=ids, body=body)
    except UserkeepError as error:
        return visit.page("verify", erasure=erasure, form=form, error=_of_form(error))
    return visit.go_to("verifications", verification["id"])


def _of_form(error: UserkeepError) -> UserkeepError:
    """Return an error that names a text as the form does: not `search_terms[1]`, but `Text 2`."""
    found = re.match(r"search_terms\[(\d+)\]", error.detail)
    if found is None:
        return error
    return InvalidField(f"Text {int(found[1]) + 1}{error.detail[found.end() :]}", "texts")


async def verification(visit: Visit) -> Response:
    """Show what a verification has found, which renews itself until it has ended."""
    found = await visit.perform("verifications.get", ids={"id": visit.request.id("id")})
    template = "verification_result" if visit.is_fragment else "verification"
    return visit.page(template, verification=found)


async def receipt(visit: Visit) -> Response:
    """Return the record as a file."""
    erasure = await visit.perform("erasures.get", ids={"id": visit.request.id("id")})
    if erasure["state"] == "deleting":
        raise NotFound("There is no receipt yet: the deletion is running.")
    response = visit.page("receipt", erasure=erasure)
    name = f'attachment; filename="deletion-{erasure["id"]}.html"'
    response.raw_headers.append((b"content-disposition", name.encode()))
    return response


PAGES: dict[str, PageFunction] = {
    "/deletions": list_,
    "/deletions/{id}": show,
    "/deletions/{id}/purge": purge,
    "/deletions/{id}/verify": verify,
    "/deletions/{id}/receipt": receipt,
    "/verifications/{id}": verification,
}
