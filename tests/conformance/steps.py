"""Steps that many tests share: requests with the expected status, and what is in a response."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from time import monotonic, sleep
from typing import Any, TypeVar

from tests.ways import Reply, Way

T = TypeVar("T")

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")

USERS, USER = "/v1/users", "/v1/users/{}"
SESSIONS, SESSION = "/v1/sessions", "/v1/sessions/{}"
SESSIONS_OF_USER = "/v1/users/{}/sessions"
END, REOPEN = "/v1/sessions/{}/end", "/v1/sessions/{}/reopen"
MESSAGES, MESSAGE = "/v1/sessions/{}/messages", "/v1/sessions/{}/messages/{}"
MEMORY = "/v1/sessions/{}/memory"
SEARCH = "/v1/search"
ERASURES, ERASURE = "/v1/erasures", "/v1/erasures/{}"
PURGE = "/v1/erasures/{}/purge"
VERIFY = "/v1/erasures/{}/verify"
PROJECTS, PROJECT = "/v1/projects", "/v1/projects/{}"
NOT_BEGUN: dict[str, Any] = {
    "requested_at": None,
    "phase": None,
    "problem": None,
    "skipped_steps": [],
}

PURGE_S = 60.0

ErrorSummary = tuple[int, str, list[str]]
NOT_FOUND: ErrorSummary = (404, "not_found", [])
GONE: ErrorSummary = (410, "gone", [])


def invalid(*fields: str) -> ErrorSummary:
    """Return what `error_of` returns for invalid fields."""
    return 422, "invalid_field", list(fields)


def error_of(reply: Reply) -> ErrorSummary:
    """Return status, code and fields of an error response, which must have a sentence too."""
    if reply.status < 400:
        return reply.status, "no error", []
    assert reply.json["status"] == reply.status
    assert reply.json["detail"].endswith((".", "?"))
    return reply.status, reply.json["code"], reply.json["fields"]


def raw(body: Any) -> bytes:
    """Encode a body as ASCII with escapes, so that it can contain unpaired surrogates."""
    return json.dumps(body).encode()


def moment(text: str) -> datetime:
    """Parse a time of a response, which must have the documented format."""
    assert TIME.fullmatch(text)
    return datetime.fromisoformat(text)


def add_user(way: Way, user_id: str, **fields: Any) -> Any:
    """Add a user and return it."""
    added = way.request("POST", USERS, json={"user_id": user_id, **fields})
    assert added.status == 201, added
    return added.json


def get_user(way: Way, user_id: str) -> Any:
    """Return the current user."""
    found = way.request("GET", USER, user_id)
    assert found.status == 200, found
    return found.json


def open_session(way: Way, session_id: str, **fields: Any) -> Any:
    """Open a session and return it."""
    opened = way.request("POST", SESSIONS, json={"session_id": session_id, **fields})
    assert opened.status == 201, opened
    return opened.json


def get_session(way: Way, session_id: str) -> Any:
    """Return the current session."""
    found = way.request("GET", SESSION, session_id)
    assert found.status == 200, found
    return found.json


def append_text(way: Way, session_id: str, *contents: str, **fields: Any) -> Reply:
    """Append messages with these contents, and return the response."""
    messages = [{"role": "user", "content": content} for content in contents]
    body = {"messages": messages, **fields}
    return way.request("POST", MESSAGES, session_id, json=body)


def append(way: Way, session_id: str, *messages: dict[str, Any]) -> Any:
    """Append messages to an existing session and return them. Their role is `user` by default."""
    body = {"messages": [{"role": "user", **message} for message in messages]}
    appended = way.request("POST", MESSAGES, session_id, json=body)
    assert appended.status == 201, appended
    return appended.json["messages"]


def get_messages(way: Way, session_id: str) -> Any:
    """Return the messages of a session, which may have up to a thousand."""
    listed = way.request("GET", MESSAGES, session_id, params={"limit": 1000})
    assert (listed.status, listed.json["next"]) == (200, None), listed
    return listed.json["items"]


def contents(way: Way, session_id: str) -> list[str]:
    """Return the contents of the messages of a session."""
    return [message["content"] for message in get_messages(way, session_id)]


def search(way: Way, query: str | None = None, **asked: Any) -> Any:
    """Search, and return the hits, best first."""
    body = asked if query is None else {"query": query, **asked}
    reply = way.request("POST", SEARCH, json=body)
    assert reply.status == 200, reply
    return reply.json["items"]


def delete(way: Way, path: str, *ids: str) -> Any:
    """Delete a user, a session or a message, and return the erasure, as it can be read later."""
    deleted = way.request("DELETE", path, *ids)
    assert (deleted.status, deleted.json["state"]) == (200, "deleted"), deleted
    return _as_stored(deleted.json)


def add_project(way: Way, name: str, **fields: Any) -> Any:
    """Add a project and return it."""
    added = way.request("POST", PROJECTS, json={"name": name, **fields})
    assert added.status == 201, added
    return added.json


def delete_project(way: Way, project: str) -> Any:
    """Delete a project to its last row, and return it."""
    deleted = way.request("DELETE", PROJECT, project)
    assert (deleted.status, deleted.json["state"]) == (200, "deleted"), deleted
    return deleted.json


def purged(way: Way, path: str, *ids: str) -> Any:
    """Delete and purge a user, a session or a message, and return the erasure.

    The response to a purge that takes long, or waits for another, is sent before it ends.
    """
    reply = way.request("DELETE", path, *ids, params={"purge": "now"})
    until_s = monotonic() + PURGE_S
    while reply.json["state"] != "purged":
        assert reply.json["state"] in {"deleting", "deleted"}, reply
        assert monotonic() < until_s, reply
        sleep(0.1)
        reply = way.request("POST", PURGE, reply.json["id"])
    return _as_stored(reply.json)


def _as_stored(erasure: dict[str, Any]) -> dict[str, Any]:
    """Return an erasure as it is read later: what a deletion counts besides is not stored."""
    return {key: value for key, value in erasure.items() if key != "sessions_without_user"}


def pages(way: Way, path: str, *ids: str, **params: Any) -> Iterator[list[Any]]:
    """Yield the pages of a list; each is requested when it is needed."""
    while True:
        page = way.request("GET", path, *ids, params=params)
        assert page.status == 200, page
        yield page.json["items"]
        if page.json["next"] is None:
            return
        params["cursor"] = page.json["next"]


def concurrently(*calls: Callable[[], T]) -> list[T]:
    """Run the calls concurrently, each in its own thread, and return their results."""
    with ThreadPoolExecutor(max_workers=len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]
