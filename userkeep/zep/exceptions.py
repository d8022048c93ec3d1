"""The exceptions of zep-python.

Besides these, calls raise `ValueError` for invalid arguments, `ConnectionError` if the server
cannot be reached, and `TimeoutError` if it does not respond in time.
"""

from typing import Any

from userkeep.sdk.http_client import HTTPResponse


class ZepClientError(Exception):
    """The base of all errors that a response can cause.

    Attributes:
        message: the error message.
        response_data: `status_code` and `message` of the response, if there is one, and `proxy` if
            it came through a forward proxy.
    """

    def __init__(self, message: str, response_data: dict[Any, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.response_data = response_data

    def __str__(self) -> str:
        return f"{self.message}: {self.response_data}"


class APIError(ZepClientError):
    """The server returned an error, or the response is not from a Userkeep or Zep server."""

    def __init__(self, response: HTTPResponse | None = None, message: str = "API error") -> None:
        super().__init__(message, _data_of(response))


class AuthError(ZepClientError):
    """The server requires an API key, or rejects the given one."""

    def __init__(
        self, response: HTTPResponse | None = None, message: str = "Authentication error"
    ) -> None:
        super().__init__(message, _data_of(response))


class NotFoundError(ZepClientError):
    """The user, session or message does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def _data_of(response: HTTPResponse | None) -> dict[Any, Any] | None:
    if response is None:
        return None
    text = response.body.decode("utf-8", "replace")
    data: dict[Any, Any] = {"status_code": response.status, "message": text}
    if response.proxy:
        data["proxy"] = response.proxy
    return data
