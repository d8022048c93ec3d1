"""Collections and their documents: lists, searches, and what can be deleted."""

import json
import re
from functools import partial
from math import isfinite
from typing import Any

from starlette.responses import Response

from userkeep.domain.errors import InvalidField, UserkeepError
from userkeep.domain.values.filters import Op
from userkeep.http.console.visit import PageFunction, Visit, needs

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

_LABELS = {"field": "Field of metadata", "op": "Condition", "value": "Value"}
_EACH_MEANING = {"ne": "and", "contains": "or"}
"""How conditions are joined where a value can stand for a number and a text."""


async def list_(visit: Visit) -> Response:
    """List collections, oldest first."""
    page = await visit.perform("collections.list", query={"limit": _AT_ONCE, **visit.cursor})
    template = "collections_rows" if visit.is_fragment else "collections"
    return visit.page(template, page=page)


async def show(visit: Visit) -> Response:
    """Show a collection with its documents: all, or those that a form looks for.

    What is looked for comes in a form and never in an address, which reverse proxies log.
    """
    ids = {"name": visit.request.id("name")}
    collection = await visit.perform("collections.get", ids=ids)
    values = {"collection": collection, "form": visit.form, "conditions": _CONDITIONS}
    template = "collection"
    if visit.is_fragment:
        template = "documents_rows" if visit.form.get("cursor") else "documents"
    try:
        page = await _find(visit, ids)
    except UserkeepError as error:
        page = {"items": [], "next": None}
        return visit.page(template, page=page, error=_of_form(error), **values)
    return visit.page(template, page=page, **values)


async def of_user(visit: Visit) -> Response:
    """List the documents of a user in a collection."""
    ids = {"name": visit.request.id("name")}
    user = await visit.perform("users.get", ids={"user_id": visit.request.id("user_id")})
    collection = await visit.perform("collections.get", ids=ids)
    query = {"limit": _AT_ONCE, "user_id": user["user_id"], "order": "-created", **visit.cursor}
    page = await visit.perform("documents.list", ids=ids, query=query)
    template = "user_documents_rows" if visit.is_fragment else "user_documents"
    return visit.page(template, user=user, collection=collection, page=page)


@needs("write")
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


@needs("write")
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
    """Return the condition on metadata that was typed; None if no field was named."""
    field = form.get("field", "").strip()
    op, text = form.get("op", "eq"), form.get("value", "").strip()
    if not field and text:
        raise InvalidField("The condition has no field.", "field")
    if not field:
        return None
    path = field if field.split(".")[0] == "metadata" else f"metadata.{field}"
    if not text and op != "exists":
        raise InvalidField("The condition has no value.", "value")
    return _condition(path, op, text or "true")


def _condition(path: str, op: str, text: str) -> dict[str, Any]:
    """Return a condition with a value that was typed, which has no type.

    So 12345 is looked for as the number and as the text, as in an address of the API; so are true,
    false and null. In quotes it is a text alone.
    """
    if op == "eq":
        return {"field": path, "op": "in", "value": _meanings(text)}
    if op == "in":
        values = [value for each in text.split(",") for value in _meanings(each.strip())]
        return {"field": path, "op": "in", "value": values}
    if op in _EACH_MEANING:
        nodes = [{"field": path, "op": op, "value": value} for value in _meanings(text)]
        return {_EACH_MEANING[op]: nodes}
    return {"field": path, "op": op, "value": text if op == "starts_with" else _meanings(text)[0]}


def _meanings(text: str) -> list[Any]:
    """Return the values that a text can stand for, the one with a type first."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    if isinstance(value, str):
        return [value]
    return [value, text] if value is None or _is_number(value) else [text]


def _is_number(value: Any) -> bool:
    """Return whether metadata can have a value as a number, true or false."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    # Python reads 1e400 and NaN as numbers that JSON does not have.
    return isinstance(value, float) and isfinite(value)


def _of_form(error: UserkeepError) -> UserkeepError:
    """Return an error that names a part of a filter as the form does, as `filter.and[0].value`."""
    found = re.match(r"filter[\w.\[\]]*\.(field|op|value)\b(?:\[\d+\])?", error.detail)
    if found is None:
        return error
    return InvalidField(f"{_LABELS[found[1]]}{error.detail[found.end() :]}", found[1])


PAGES: dict[str, PageFunction] = {
    "/collections": list_,
    "/collections/{name}": show,
    "/collections/{name}/delete": delete,
    "/collections/{name}/documents/{document_id}": document,
    "/collections/{name}/documents/{document_id}/delete": delete_document,
    "/users/{user_id}/documents/{name}": of_user,
}
