"""Requests with a key."""

from typing import Any

from tests.http.clients import InProcessClient, Response

STATIC = "the-key-of-an-operator"


class Caller:
    """Sends requests with a key, and with one request id, so that responses can be compared."""

    def __init__(
        self, client: InProcessClient, key: str | None, address: str = "127.0.0.1"
    ) -> None:
        self._client = client
        self.key = key
        self._address = address

    def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        headers = {"X-Request-Id": "of-a-test", **headers}
        if self.key is not None:
            headers = {"Authorization": f"Bearer {self.key}", **headers}
        return self._client.send(method, target, body, headers=headers, address=self._address)

    def with_key(self, **fields: Any) -> "Caller":
        """Create a key and return what sends requests with it."""
        created = self("POST", "/v1/keys", fields)
        assert created.status == 201, created.text
        return Caller(self._client, created.json["key"], self._address)

    def with_text(self, key: str | None) -> "Caller":
        """Return what sends requests with another key."""
        return Caller(self._client, key, self._address)

    def without_key(self, address: str) -> "Caller":
        """Return what sends requests without a key, from another address."""
        return Caller(self._client, None, address)


def id_of(key: str | None) -> str:
    return str(key).split("_")[1]
