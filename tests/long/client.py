"""A client with a persistent connection that reports when it is lost."""

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import quote

CONNECTION_LOST = (http.client.HTTPException, ConnectionError, TimeoutError, OSError)
"""The errors when the server disappears; the request may or may not have been performed."""


class Response(NamedTuple):
    """A status and a parsed body."""

    status: int
    json: Any


class Client:
    """A client with one connection, opened on demand."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def request(
        self, method: str, path: str, *ids: str, json_: Any = None, key: str = ""
    ) -> Response:
        """Send a request; `{}` in `path` stands for an id, `key` is an Idempotency-Key.

        Raises:
            any of CONNECTION_LOST: the server disappeared.
        """
        body = None if json_ is None else json.dumps(json_).encode()
        url = path.format(*(quote(id_, safe="") for id_ in ids))
        try:
            headers = {"content-type": "application/json"} | (
                {"idempotency-key": key} if key else {}
            )
            self._connection.request(method, url, body, headers)
            received = self._connection.getresponse()
            text = received.read()
        except CONNECTION_LOST:
            self._connection.close()
            raise
        is_json = "json" in (received.headers.get("content-type") or "")
        return Response(received.status, json.loads(text) if is_json else text.decode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
