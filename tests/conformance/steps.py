"""What tests do on their way to what they are about."""

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
END = "/v1/sessions/{}/end"
MESSAGES, MESSAGE = "/v1/sessions/{}/messages", "/v1/sessions/{}/messages/{}"
MEMORY = "/v1/sessions/{}/memory"
SEARCH = "/v1/search"
ERASURES, ERASURE = "/v1/erasures", "/v1/erasures/{}"
PURGE = "/v1/erasures/{}/purge"
VERIFY = "/v1/erasures/{}/verify"
NOT_BEGUN: dict[str, Any] = {
    "requested_at": None,
    "phase": None,
    "problem": None,
    "skipped_steps": [],
}

PURGE_S = 60.0

Refusal = tuple[int, str, list[str]]
NOT_FOUND: Refusal = (404, "not_found", [])
GONE: Refusal = (410, "gone", [])


def invalid(*fields: str) -> Refusal:
    """What `refusal` gives for fields with values that they cannot have."""
    return 422, "invalid_field", list(fields)


def refusal(reply: Reply) -> Refusal:
    """What was wrong: status, code and fields; there is always a sentence for people too."""
    if reply.status < 400:
        return reply.status, "not refused", []
    assert reply.json["status"] == reply.status
    assert reply.json["detail"].endswith((".", "?"))
    return reply.status, reply.json["code"], reply.json["fields"]


def raw(body: Any) -> bytes:
    """A body with everything but ASCII escaped, so that it can hold what is no text at all."""
    return json.dumps(body).encode()


def moment(text: str) -> datetime:
    """A time as it travels, to be compared."""
    assert TIME.fullmatch(text)
    return datetime.fromisoformat(text)


def add_user(way: Way, user_id: str, **fields: Any) -> Any:
    """A user."""
    added = way.request("POST", USERS, json={"user_id": user_id, **fields})
    assert added.status == 201, added
    return added.json


def get_user(way: Way, user_id: str) -> Any:
    """The user as a reader sees them now."""
    found = way.request("GET", USER, user_id)
    assert found.status == 200, found
    return found.json


def open_session(way: Way, session_id: str, **fields: Any) -> Any:
    """A session."""
    opened = way.request("POST", SESSIONS, json={"session_id": session_id, **fields})
    assert opened.status == 201, opened
    return opened.json


def get_session(way: Way, session_id: str) -> Any:
    """The session as a reader sees it now."""
    found = way.request("GET", SESSION, session_id)
    assert found.status == 200, found
    return found.json


def say(way: Way, session_id: str, *contents: str, **fields: Any) -> Reply:
    """Append messages with these contents."""
    body = {"messages": [{"content": content} for content in contents], **fields}
    return way.request("POST", MESSAGES, session_id, json=body)


def append(way: Way, session_id: str, *messages: dict[str, Any]) -> Any:
    """Append messages to a session that is there; the messages as they are answered."""
    appended = way.request("POST", MESSAGES, session_id, json={"messages": messages})
    assert appended.status == 201, appended
    return appended.json["messages"]


def get_messages(way: Way, session_id: str) -> Any:
    """All messages of a session, of at most a thousand."""
    listed = way.request("GET", MESSAGES, session_id, params={"limit": 1000})
    assert (listed.status, listed.json["next"]) == (200, None), listed
    return listed.json["items"]


def contents(way: Way, session_id: str) -> list[str]:
    """What was said in a session."""
    return [message["content"] for message in get_messages(way, session_id)]


def search(way: Way, query: str | None = None, **asked: Any) -> Any:
    """The hits, best first."""
    body = asked if query is None else {"query": query, **asked}
    answer = way.request("POST", SEARCH, json=body)
    assert answer.status == 200, answer
    return answer.json["items"]


def delete(way: Way, path: str, *ids: str) -> Any:
    """Delete a user, a session or a message; the erasure."""
    deleted = way.request("DELETE", path, *ids)
    assert (deleted.status, deleted.json["state"]) == (200, "deleted"), deleted
    return deleted.json


def purged(way: Way, path: str, *ids: str) -> Any:
    """Delete a user, a session or a message, and have it purged at once; the erasure.

    A purge that takes long, or waits for another, is answered before its end.
    """
    answer = way.request("DELETE", path, *ids, params={"purge": "now"})
    until_s = monotonic() + PURGE_S
    while answer.json["state"] != "purged":
        assert answer.json["state"] in {"deleting", "deleted"}, answer
        assert monotonic() < until_s, answer
        sleep(0.1)
        answer = way.request("POST", PURGE, answer.json["id"])
    return answer.json


def pages(way: Way, path: str, *ids: str, **params: Any) -> Iterator[list[Any]]:
    """A list, page by page; each is asked for when it is needed."""
    while True:
        page = way.request("GET", path, *ids, params=params)
        assert page.status == 200, page
        yield page.json["items"]
        if page.json["next"] is None:
            return
        params["cursor"] = page.json["next"]


def together(*calls: Callable[[], T]) -> list[T]:
    """What the calls give, each made from a thread of its own at the same time."""
    with ThreadPoolExecutor(max_workers=len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]
