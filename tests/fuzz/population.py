"""What the server contains that is attacked: user jane with session s and a message."""

from typing import Any

from tests.fuzz.values import MESSAGE
from tests.http.clients import InProcessClient


def populate(client: InProcessClient) -> None:
    metadata: dict[str, Any] = {"a": {"a": {}}, "b": [1, "x"], "c": None}
    client.send("PUT", "/v1/users/jane", {"email": "jane@example.com", "metadata": metadata})
    body = {"session_id": "s", "user_id": "jane", "metadata": metadata}
    client.send("POST", "/v1/sessions", body)
    message = {"id": MESSAGE, "role": "user", "content": "Hello", "metadata": metadata}
    client.send("POST", "/v1/sessions/s/messages", {"user_id": "jane", "messages": [message]})


def repopulate(client: InProcessClient) -> None:
    """Restore the user, session and message if a request deleted them."""
    session = client.send("GET", "/v1/sessions/s")
    if session.status == 200 and session.json["ended_at"] is not None:
        client.send("DELETE", "/v1/sessions/s")
    if client.send("GET", f"/v1/sessions/s/messages/{MESSAGE}").status != 200:
        populate(client)


def snapshot(client: InProcessClient) -> list[Any]:
    """Return what a write would change: the newest users, sessions and erasures, the message."""
    users, sessions, erasures = (
        client.send("GET", f"/v1/{noun}?limit=20&order=-created").json["items"]
        for noun in ("users", "sessions", "erasures")
    )
    message = client.send("GET", f"/v1/sessions/s/messages/{MESSAGE}")
    return [users, sessions, [erasure["id"] for erasure in erasures], message.body]
