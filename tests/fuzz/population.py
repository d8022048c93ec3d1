"""What the server contains that is attacked: user jane with session s, a message, a document."""

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
    client.send("POST", "/v1/collections", {"name": "papers", "dimensions": 8})
    document = {"document_id": "a", "content": "Hello", "embedding": [0.5] * 8, "user_id": "jane"}
    path = "/v1/collections/papers/documents"
    client.send("POST", path, {"documents": [{**document, "metadata": metadata}]})


def repopulate(client: InProcessClient) -> None:
    """Restore the user, session, message and document if a request deleted them."""
    session = client.send("GET", "/v1/sessions/s")
    if session.status == 200 and session.json["ended_at"] is not None:
        client.send("DELETE", "/v1/sessions/s")
    needed = (f"/v1/sessions/s/messages/{MESSAGE}", "/v1/collections/papers/documents/a")
    if any(client.send("GET", path).status != 200 for path in needed):
        populate(client)


def snapshot(client: InProcessClient) -> list[Any]:
    """Return what a write would change: the newest of each noun, the message, the document."""
    users, sessions, erasures = (
        client.send("GET", f"/v1/{noun}?limit=20&order=-created").json["items"]
        for noun in ("users", "sessions", "erasures")
    )
    message = client.send("GET", f"/v1/sessions/s/messages/{MESSAGE}")
    document = client.send("GET", "/v1/collections/papers/documents/a")
    ids = [erasure["id"] for erasure in erasures]
    return [users, sessions, ids, message.body, document.body]
