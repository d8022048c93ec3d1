"""Responses: a status, headers and a body, ready to send."""

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from userkeep.domain.errors import UserkeepError
from userkeep.http.errors import retry_after, status_of

RawHeaders = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


class RawResponse(Response):
    """A response whose headers are already bytes.

    Starlette's Response encodes each header and looks at the type of the connection. For a small
    response this costs as much as the query.
    """

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        content_type: bytes = JSON,
        headers: RawHeaders = (),
    ) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", content_type),
            *headers,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def json_response(value: Any, status: int = 200, headers: RawHeaders = ()) -> RawResponse:
    """Return a response with a value as JSON."""
    return RawResponse(_encode(value), status, JSON, headers)


def text_response(text: str, status: int = 200, headers: RawHeaders = ()) -> RawResponse:
    """Return a response with a text."""
    return RawResponse(text.encode(), status, TEXT, headers)


def problem_response(error: UserkeepError) -> RawResponse:
    """Return an error as `application/problem+json` (RFC 9457) with its stable `code`."""
    status = status_of(error)
    problem = {
        "status": status,
        "code": error.code,
        "detail": error.detail,
        "fields": list(error.fields),
    }
    return RawResponse(_encode(problem), status, b"application/problem+json", retry_after(error))
