"""Collections and their documents: lists, searches, and what can be deleted."""

import json
from functools import partial
from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import InvalidField, UserkeepError
from userkeep.domain.values.filters import Op
from userkeep.http.console.visit import PageFunction, Visit

_AT_ONCE = "50"
_FOUND_AT_ONCE = 50
_CONDITIONS: dict[Op, str] = {
    "eq": "is",
    "ne": "is not",
    "contains": "contains",
    "starts_with": "begins with",
    "in": "is one of",
    "gt": "is greater than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "exists": "exists (false: does not)",
}


async def list_(visit: Visit) -> Response:
    """List collections, oldest first."""
    page = await visit.perform("collections.list", query=_page_of(visit))
    template = "collections_rows" if visit.is_fragment else "collections"
    return visit.page(template, page=page)


async def show(visit: Visit) -> Response:
    """Show a collection with its documents: all, or those that a form looks for.

    What is looked for comes in a form and never in an address, which reverse proxies log.
    """
    ids = {"name": visit.request.id("name")}
    collection = await visit.perform("collections.get", ids=ids)
    values = {"collection": collection, "form": visit.form, "conditions": _CONDITIONS}
    template = "documents_rows" if visit.is_fragment else "collection"
    try:
        page = await _find(visit, ids)
    except UserkeepError as error:
        page = {"items": [], "next": None}
        return visit.page(template, page=page, error=error, **values)
    return visit.page(template, page=page, **values)


async def of_user(visit: Visit) -> Response:
    """List the documents of a user in a collection."""
    ids = {"name": visit.request.id("name")}
    user = await visit.perform("users.get", ids={"user_id": visit.request.id("user_id")})
    collection = await visit.perform("collections.get", ids=ids)
    query = {**_page_of(visit), "user_id": user["user_id"], "order": "-created"}
    page = await visit.perform("documents.list", ids=ids, query=query)
    template = "user_documents_rows" if visit.is_fragment else "user_documents"
    return visit.page(template, user=user, collection=collection, page=page)


async def delete(visit: Visit) -> Response:
    """Show what will be deleted with a collection; delete it when its name was typed."""
    ids = {"name": visit.request.id("name")}
    collection = await visit.perform("collections.get", ids=ids)
    show_page = partial(visit.page, "collection_delete", collection=collection)
    if not visit.is_form:
        return show_page(typed="", is_wrong=False)
    typed = visit.form.get("name", "")
    if typed.strip().lower() != collection["name"]:
        return show_page(typed=typed, is_wrong=True, status=422)
    await visit.perform("collections.delete", ids=ids)
    return visit.go_to("collections", done="deleted")


async def document(visit: Visit) -> Response:
    """Show all of a document."""
    ids = _ids_of_document(visit)
    found = await visit.perform("documents.get", ids=ids)
    return visit.page("document", name=ids["name"], document=found)


async def delete_document(visit: Visit) -> Response:
    """Delete a document, after a question."""
    ids = _ids_of_document(visit)
    if not visit.is_form:
        found = await visit.perform("documents.get", ids=ids)
        return visit.page("document_delete", name=ids["name"], document=found)
    await visit.perform("documents.delete", ids=ids)
    return visit.go_to("collections", ids["name"], done="deleted")


def _ids_of_document(visit: Visit) -> dict[str, str]:
    return {"name": visit.request.id("name"), "document_id": visit.request.id("document_id")}


def _page_of(visit: Visit) -> dict[str, str]:
    query = {"limit": _AT_ONCE}
    if visit.query.get("cursor"):
        query["cursor"] = visit.query["cursor"]
    return query


async def _find(visit: Visit, ids: dict[str, str]) -> dict[str, Any]:
    """Return the documents that the form of a collection looks for, each with its score."""
    form = visit.form
    text, user_id = form.get("text", "").strip(), form.get("user_id", "").strip()
    condition = _read_condition(form)
    if text:
        body = {"text": text, "limit": _FOUND_AT_ONCE, "omit": ["metadata"]}
        body |= {"user_id": user_id} if user_id else {}
        body |= {"filter": condition} if condition else {}
        hits = await visit.perform("documents.search", ids=ids, body=body)
        found = [{**hit["document"], "score": hit["score"]} for hit in hits["items"]]
        return {"items": found, "next": None}
    query = {"limit": _AT_ONCE, "order": "-created", "user_id": user_id}
    query |= {
        "filter": json.dumps(condition) if condition else "",
        "cursor": form.get("cursor", ""),
    }
    given = {name: value for name, value in query.items() if value}
    page: dict[str, Any] = await visit.perform("documents.list", ids=ids, query=given)
    return page


def _read_condition(form: dict[str, str]) -> dict[str, Any] | None:
    """Return the condition on metadata that was typed; None if no field was named.

    A value is what it is as JSON (a number, true, "a text"), otherwise a text.
    """
    field = form.get("field", "").strip()
    if not field:
        return None
    path = field if field.split(".")[0] == "metadata" else f"metadata.{field}"
    op, text = form.get("op", "eq"), form.get("value", "").strip()
    if not text and op != "exists":
        raise InvalidField("The condition has no value.", "value")
    return {"field": path, "op": op, "value": _read_value(op, text or "true")}


def _read_value(op: str, text: str) -> Any:
    if op == "in":
        return [_read_value("eq", each.strip()) for each in text.split(",")]
    if op == "starts_with":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


PAGES: dict[str, PageFunction] = {
    "/collections": list_,
    "/collections/{name}": show,
    "/collections/{name}/delete": delete,
    "/collections/{name}/documents/{document_id}": document,
    "/collections/{name}/documents/{document_id}/delete": delete_document,
    "/users/{user_id}/documents/{name}": of_user,
}
