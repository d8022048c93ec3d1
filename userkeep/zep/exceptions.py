"""What can go wrong, under the names that Zep gave it.

Beside these: `ValueError` where something cannot be asked for, `ConnectionError` where the server
is not reached, `TimeoutError` where it does not answer in time.
"""

from typing import Any

from userkeep.sdk.http_client import HTTPResponse


class ZepClientError(Exception):
    """Anything that comes of what a server answered.

    Attributes:
        message: a sentence.
        response_data: `status_code` and `message` of the answer, where there is one.
    """

    def __init__(self, message: str, response_data: dict[Any, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.response_data = response_data

    def __str__(self) -> str:
        return f"{self.message}: {self.response_data}"


class APIError(ZepClientError):
    """The server would not or could not do it, or there is no server of ours at the address."""

    def __init__(self, response: HTTPResponse | None = None, message: str = "API error") -> None:
        super().__init__(message, _data_of(response))


class AuthError(ZepClientError):
    """The server wants a key, and a better one than it was given."""

    def __init__(
        self, response: HTTPResponse | None = None, message: str = "Authentication error"
    ) -> None:
        super().__init__(message, _data_of(response))


class NotFoundError(ZepClientError):
    """There is no such user, session or message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def _data_of(response: HTTPResponse | None) -> dict[Any, Any] | None:
    if response is None:
        return None
    text = response.body.decode("utf-8", "replace")
    return {"status_code": response.status, "message": text}
