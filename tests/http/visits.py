"""Visits of the console without a browser."""

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

from tests.http.callers import STATIC
from tests.http.clients import InProcessClient, Response

FORM = "application/x-www-form-urlencoded"


class Visit:
    """A visitor without a browser: a cookie, and the token of the forms."""

    def __init__(self, client: InProcessClient) -> None:
        self._client = client
        self.cookie = ""

    def get(self, path: str, **headers: str) -> Response:
        return self._kept(
            self._client.send("GET", path, headers={"Cookie": self.cookie, **headers})
        )

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Response:
        headers = {"Content-Type": FORM, "Cookie": self.cookie, **headers}
        return self._kept(
            self._client.send("POST", path, urlencode(fields).encode(), headers=headers)
        )

    def token(self) -> str:
        return value_of(self.get("/console/users"), "form_token")

    def sign_in(self, key: str) -> "Visit":
        assert self.post("/console/sign-in", {"key": key}).status == 303
        return self

    def _kept(self, response: Response) -> Response:
        if "set-cookie" in response.headers:
            self.cookie = response.headers["set-cookie"].partition(";")[0]
        return response


def value_of(response: Response, name: str) -> str:
    """Return the value of a field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', response.text)
    assert found is not None
    return unescape(found[1])


def key_of(client: InProcessClient, **fields: Any) -> dict[str, Any]:
    created = client.send("POST", "/v1/keys", fields, headers={"Authorization": f"Bearer {STATIC}"})
    assert created.status == 201, created.text
    found: dict[str, Any] = created.json
    return found
