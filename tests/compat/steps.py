"""Steps that tests of `/api/v1` share."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.http.clients import Client, InProcessClient, Request, Response

Row = dict[str, Any]
Page = Callable[[int], list[Row]]
"""Returns the page at a cursor."""


def ok(response: Response) -> Any:
    """Return the JSON of a response that must be successful."""
    assert response.status in {200, 201}, (response.status, response.body[:500])
    return response.json


def add_users(client: InProcessClient, count: int, prefix: str = "u") -> list[str]:
    """Create users one after the other; return the ids of all users."""
    user_ids = [f"{prefix}{number:05}" for number in range(count)]
    requests = [Request("POST", "/api/v1/user", {"user_id": user_id}) for user_id in user_ids]
    assert {response.status for response in client.send_in_turn(requests)} == {201}
    return [user["user_id"] for user in ok(client.send("GET", "/api/v1/user"))]


def delete_users(client: InProcessClient, user_ids: Sequence[str]) -> None:
    """Delete users."""
    requests = [Request("DELETE", f"/api/v1/user/{user_id}") for user_id in user_ids]
    assert {response.status for response in client.send_all(requests)} <= {200}


def append(client: Client, session_id: str, *contents: str) -> None:
    """Append messages to a session."""
    messages = [{"role": "user", "content": content} for content in contents]
    response = client.send("POST", f"/api/v1/sessions/{session_id}/memory", {"messages": messages})
    assert (response.status, response.text) == (200, "OK")


def messages_of(client: Client, session_id: str, query: str = "") -> list[Row]:
    """Return the messages of a session."""
    messages: list[Row] = ok(client.send("GET", f"/api/v1/sessions/{session_id}/messages{query}"))[
        "messages"
    ]
    return messages


def pages_of(client: Client, path: str, limit: int, address: str = "127.0.0.1") -> Page:
    """Return the pages of a list, as one client requests them."""

    def page(cursor: int) -> list[Row]:
        # Clients send no cursor with the first request.
        query = f"limit={limit}&cursor={cursor}" if cursor else f"limit={limit}"
        rows: list[Row] = ok(client.send("GET", f"{path}?{query}", address=address))
        assert len(rows) <= limit
        return rows

    return page


def by_offset(page: Page, size: int) -> Iterator[list[Row]]:
    """Paginate like `list_chunked`: the cursor grows by the page size until a page is empty."""
    cursor = 0
    while rows := page(cursor):
        yield rows
        cursor += size


def by_last_id(page: Page) -> Iterator[list[Row]]:
    """Paginate like other clients: the cursor is the `id` of the last row."""
    cursor = 0
    while rows := page(cursor):
        yield rows
        cursor = rows[-1]["id"]


def user_ids_of(pages: Iterator[list[Row]]) -> list[str]:
    """Return the user ids of all pages, in order."""
    return [row["user_id"] for rows in pages for row in rows]
