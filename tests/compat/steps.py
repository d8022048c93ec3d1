"""Steps that tests of the `/api/v1` door share."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.http.doors import Answer, Doors, InProcess, Request

Row = dict[str, Any]
Page = Callable[[int], list[Row]]
"""Gives the page at a cursor."""


def ok(answer: Answer) -> Any:
    """The JSON of an answer that must be a success."""
    assert answer.status in {200, 201}, (answer.status, answer.body[:500])
    return answer.json


def add_users(doors: InProcess, count: int, prefix: str = "u") -> list[str]:
    """Add users one after the other; their ids."""
    user_ids = [f"{prefix}{number:05}" for number in range(count)]
    requests = [Request("POST", "/api/v1/user", {"user_id": user_id}) for user_id in user_ids]
    assert {answer.status for answer in doors.send_in_turn(requests)} == {201}
    return [user["user_id"] for user in ok(doors.send("GET", "/api/v1/user"))]


def delete_users(doors: InProcess, user_ids: Sequence[str]) -> None:
    """Delete users."""
    requests = [Request("DELETE", f"/api/v1/user/{user_id}") for user_id in user_ids]
    assert {answer.status for answer in doors.send_all(requests)} <= {200}


def append(doors: Doors, session_id: str, *contents: str) -> None:
    """Append messages to a session."""
    messages = [{"role": "user", "content": content} for content in contents]
    answer = doors.send("POST", f"/api/v1/sessions/{session_id}/memory", {"messages": messages})
    assert (answer.status, answer.text) == (200, "OK")


def messages_of(doors: Doors, session_id: str, query: str = "") -> list[Row]:
    """The messages of a session."""
    messages: list[Row] = ok(doors.send("GET", f"/api/v1/sessions/{session_id}/messages{query}"))[
        "messages"
    ]
    return messages


def pages_of(doors: Doors, path: str, limit: int, address: str = "127.0.0.1") -> Page:
    """The pages of a list, as one client asks for them."""

    def page(cursor: int) -> list[Row]:
        # A first request without a cursor, as the clients send it.
        query = f"limit={limit}&cursor={cursor}" if cursor else f"limit={limit}"
        rows: list[Row] = ok(doors.send("GET", f"{path}?{query}", address=address))
        assert len(rows) <= limit
        return rows

    return page


def chunks(page: Page, size: int) -> Iterator[list[Row]]:
    """As `list_chunked` walks: the cursor grows by the size of a chunk until a page is empty."""
    cursor = 0
    while rows := page(cursor):
        yield rows
        cursor += size


def after_last_id(page: Page) -> Iterator[list[Row]]:
    """As others walk: the cursor is the `id` of the last row."""
    cursor = 0
    while rows := page(cursor):
        yield rows
        cursor = rows[-1]["id"]


def user_ids_of(pages: Iterator[list[Row]]) -> list[str]:
    """Who was shown, in order."""
    return [row["user_id"] for rows in pages for row in rows]
