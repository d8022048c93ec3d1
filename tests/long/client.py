"""A client that keeps its connection, and knows when it was lost."""

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import quote

LOST = (http.client.HTTPException, ConnectionError, TimeoutError, OSError)
"""What is raised where the server went away: the request was carried out, or was not."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    json: Any


class Client:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def request(
        self, method: str, path: str, *ids: str, json_: Any = None, key: str = ""
    ) -> Answer:
        """Send a request; ids in `path` are `{}`, `key` is an Idempotency-Key.

        Raises:
            any of LOST: the server went away.
        """
        body = None if json_ is None else json.dumps(json_).encode()
        url = path.format(*(quote(id_, safe="") for id_ in ids))
        try:
            headers = {"content-type": "application/json"} | (
                {"idempotency-key": key} if key else {}
            )
            self._connection.request(method, url, body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except LOST:
            self._connection.close()
            raise
        is_json = "json" in (response.headers.get("content-type") or "")
        return Answer(response.status, json.loads(text) if is_json else text.decode())

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
